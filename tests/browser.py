"""A headless Chromium, steered over its DevTools protocol: as little of it as the tests of the pages need."""

import base64
import contextlib
import json
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from websockets.sync.client import connect

PATIENCE_S = 120.0
KEYS = {" ": 32, "Delete": 46, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Escape": 27}


class Browser:
    """One Chromium with one page."""

    def __init__(self, program, folder):
        self.folder = Path(folder)
        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--remote-debugging-port=0", f"--user-data-dir={self.folder / 'profile'}", "--window-size=1280,800",
                "--disable-background-networking", "--hide-scrollbars", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._stack = ExitStack()
        self._stack.callback(self._end)
        self._calls = 0
        self.errors = []
        try:
            self._line = self._stack.enter_context(connect(self._page(), max_size=None, ping_interval=None))
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _page(self):
        found = self.folder / "profile" / "DevToolsActivePort"
        port = wait(lambda: found.exists() and found.read_text().partition("\n")[0], "Chromium to start")

        def pages():
            with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                return [target for target in json.load(answer) if target["type"] == "page"]

        return wait(pages, "a page")[0]["webSocketDebuggerUrl"]

    def call(self, method, **params):
        """Call a method of the protocol; errors of the page that are told meanwhile are kept."""
        self._calls += 1
        self._line.send(json.dumps({"id": self._calls, "method": method, "params": params}))
        while True:
            told = json.loads(self._line.recv(timeout=PATIENCE_S))
            if told.get("method") == "Runtime.exceptionThrown":
                self.errors.append(told["params"]["exceptionDetails"])
            if told.get("id") == self._calls:
                assert "error" not in told, told["error"]
                return told["result"]

    def open(self, url):
        """Go to a page, when its server is there: a page of errors costs Chromium more than a server takes to start."""
        parts = urlsplit(url)
        wait(lambda: answers(parts.hostname, parts.port), f"{url} to be served")
        wait(lambda: "errorText" not in self.call("Page.navigate", url=url), f"{url} to answer")

    def ask(self, expression):
        """Value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, expression, timeout_s=PATIENCE_S):
        """Wait until an expression is true in the page, and return it."""
        return wait(lambda: self.ask(f"Boolean(window.streamqrs) && ({expression})"), expression, timeout_s)

    def key(self, key, shift=False):
        """Press a key and let it go."""
        code = KEYS.get(key, ord(key[0].upper()))
        text = {"text": key} if len(key) == 1 else {}
        given = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **given, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def picture(self, path):
        """Write what is seen as a PNG."""
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def size(self, width, height):
        """Give the window another size, in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def downloads(self):
        """Let files be saved, and return the folder that they go to."""
        folder = self.folder / "downloads"
        folder.mkdir(exist_ok=True)
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        return folder

    def close(self):
        """End it."""
        self._stack.close()

    def _end(self):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def answers(host, port):
    """Whether a server takes connections."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
        return True
    return False


def wait(condition, what, timeout_s=PATIENCE_S):
    """Wait until `condition()` is true and return it; fail with `what` after a generous time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.05)
    return value
