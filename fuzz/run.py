"""Fuzz the parsers of `targets.py`.

``python fuzz/run.py [--seconds 60] [--seed 0] [TARGET …]``, or ``… --atheris TARGET [libFuzzer options]``.
Without atheris, seeds are mutated at random: bits, bytes, pieces cut and doubled, numbers set to their edges. Memory is
limited (2 GB beyond what is there), and an input that takes more than 2 s of CPU counts as a hang. Each finding is
written to a file. Printed, as JSON: inputs tried by target, and findings.
"""

import argparse
import hashlib
import json
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

EDGES = [b"\x00", b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"9" * 30, b"-1", b"1e999", b"NaN", b"[" * 500,
         b"{\"a\":" * 300, b"\xf0\x9f\x98\x80", b"\x1b[2J", b"../../x", b"%s%n", b"0", b"\n", b","]  # fmt: skip
HANG_S = 2.0
SPARE = 2 << 30


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change bytes in one to eight places."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice((1, 2, 4, 16, 200)))
        match rng.randrange(6):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(out):
                out[at] = rng.randrange(256)
            case 2:
                del out[at:end]
            case 3:
                out[at:at] = out[at:end] * rng.choice((1, 3, 50))
            case 4:
                out[at : at + rng.randrange(5)] = rng.choice(EDGES)
            case _ if rng.random() < 0.2:
                del out[at:]
    return bytes(out[: 1 << 20])


def fuzz(
    name: str, target: Callable[[bytes], None], seeds: list[bytes], seconds: float, seed: int, keep: Path
) -> tuple[int, list[str]]:
    """Try inputs for so many seconds of CPU; return how many, and the findings, one of each kind."""
    rng, tried, findings = random.Random(f"{seed} {name}"), 0, {}
    for data in seeds:
        target(data)
    until = time.process_time() + seconds
    while time.process_time() < until:
        data = mutate(rng.choice(seeds), rng)
        tried += 1
        began = time.process_time()
        try:
            target(data)
            where = "hang" if time.process_time() - began > HANG_S else ""
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:80]}"
            if isinstance(error, KeyboardInterrupt):
                raise
        key = where.partition(": ")[0]
        if where and key not in findings:
            findings[key] = where
            keep.mkdir(parents=True, exist_ok=True)
            path = keep / f"{name.replace(' ', '_')}-{hashlib.sha256(data).hexdigest()[:8]}"
            path.write_bytes(data)
            print(f"{name}: {where}  ({path})", file=sys.stderr)
    return tried, list(findings.values())


def with_atheris(name: str, options: list[str]) -> None:
    """Hand a target to libFuzzer, with coverage of streamqrs as its guide."""
    import atheris

    with atheris.instrument_imports(include=["streamqrs"]):
        from targets import TARGETS
    target, seeds = TARGETS[name]
    corpus = Path("build/fuzz") / name.replace(" ", "_")
    corpus.mkdir(parents=True, exist_ok=True)
    for k, data in enumerate(seeds):
        (corpus / f"seed{k}").write_bytes(data)
    atheris.Setup([sys.argv[0], *options, str(corpus)], target)
    atheris.Fuzz()


def main() -> None:
    """Parse the command line, and fuzz."""
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="of targets.py; all if none is given")
    parser.add_argument("--seconds", type=float, default=60.0, help="of CPU, for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for findings")
    parser.add_argument("--atheris", action="store_true")
    given, options = parser.parse_known_args()
    if given.atheris:
        with_atheris(given.targets[0], options)
        return
    from targets import TARGETS

    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + SPARE, now + SPARE))
    result = {}
    for name in given.targets or TARGETS:
        tried, findings = fuzz(name, *TARGETS[name], given.seconds, given.seed, given.keep)
        result[name] = {"tried": tried, "findings": findings}
    total = sum(r["tried"] for r in result.values())
    print(json.dumps({"seed": given.seed, "total": total, "targets": result}, indent=1))
    sys.exit(any(r["findings"] for r in result.values()))


if __name__ == "__main__":
    main()
