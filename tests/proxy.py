"""A TCP proxy for the tests: it stands between a program and a server, and cuts, stalls or slows what passes.

``python proxy.py PORT`` listens on a free port of 127.0.0.1, which it prints, and passes on to PORT. A word on standard
input sets what happens from then on: ``pass``; ``hold`` (nothing passes, nothing is closed: a half-open link); ``mute``
(the same for what the server says only); ``cut`` (all connections are broken, new ones too); ``slow SECONDS`` (each
packet waits so long). What was held passes once it is ``pass`` again.
"""

import asyncio
import socket
import sys
from contextlib import suppress


class Proxy:
    def __init__(self, port):
        self.port, self.mode, self.pause_s = port, "pass", 0.0
        self.changed = asyncio.Condition()
        self.writers = set()

    async def set(self, words):
        async with self.changed:
            self.mode = words[0]
            self.pause_s = float(words[1]) if words[0] == "slow" else 0.0
            self.changed.notify_all()
        if self.mode == "cut":
            for writer in list(self.writers):
                writer.transport.abort()

    async def serve(self, reader, writer):
        try:
            if self.mode == "cut":
                return
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.port)
            both = {writer, other_writer}
            self.writers |= both
            for one in both:
                one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways = [
                asyncio.create_task(self.carry(reader, other_writer, {"hold"})),
                asyncio.create_task(self.carry(other_reader, writer, {"hold", "mute"})),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            other_writer.close()
            self.writers -= both
        except OSError:
            pass
        finally:
            writer.close()

    async def carry(self, reader, writer, stopped_by):
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.pause_s)
                async with self.changed:
                    await self.changed.wait_for(lambda: self.mode not in stopped_by)
                writer.write(data)
                await writer.drain()


async def main():
    proxy = Proxy(int(sys.argv[1]))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await proxy.set(line.split())
        print("set", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
