"""Corrupted files for every reader: small random changes of whole files, and what the reader makes of them.

    python tests/reliability/fuzzing.py --inputs 100000 --seconds 600

A reader may return what it promises or raise its own error, within 5 seconds of the processor and 1 GiB of memory for all
files. Anything else is a finding, which is printed with its file in hexadecimal digits; the exit code is 1 then. A reader that
ends the process leaves its file as `corrupted.*` in a folder `fuzzing-*` of the system's temporary files.
"""

import argparse
import faulthandler
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from fuzzing_targets import TARGETS, Target


MOST_SECONDS_PER_FILE = 5
MOST_BYTES = 1 << 30
_BYTES = [0, 1, 0x7F, 0x80, 0xFF, *b"\n 0-#/.,"]
_WORDS = [b"-1", b"0", b"1", b"3", b"255", b"4294967296", b"1000000000000", b"99999999999999999999", b"1e999", b"nan", b"inf",
          b"-inf", b"1_0", b"", b" ", b"\n", b"x", b"\xef\xbb\xbf", b"\xff" * 8, b"\x00" * 8, b"\x7f" * 4]  # fmt: skip


class TooSlowError(BaseException):
    """A reader takes too long; no reader catches it."""


def mutate(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Change a file in one to eight places."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 2, 4, 8])):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice([1, 1, 2, 4, 8, 16, 64, 256]))
        kind = rng.choice([0, 0, 1, 1, 2, 3, 4, 5, 6, 6, 6, 7])
        if kind == 0 and start < len(data):
            data[start] ^= 1 << rng.randrange(8)
        elif kind == 1 and start < len(data):
            data[start] = rng.choice(_BYTES)
        elif kind == 2:
            del data[start:end]
        elif kind == 3:
            data[start:start] = data[start:end] * rng.choice([1, 1, 2, 50])
        elif kind == 4:
            data[start:end] = rng.randbytes(end - start)
        elif kind == 5:
            other = rng.choice(others)
            place = rng.randrange(len(other) + 1)
            data[start:end] = other[place : place + rng.choice([4, 16, 64, 1024])]
        elif kind == 6:
            numbers = [match.span() for match in re.finditer(rb"-?\d+(?:\.\d+)?", data[:4096])]
            first, last = rng.choice(numbers) if numbers else (start, end)
            data[first:last] = rng.choice(_WORDS)
        else:
            del data[start:]
    return bytes(data[: 1 << 16])


def outcome(target: Target, path: Path) -> str | None:
    """Return what is wrong with what a reader makes of a file; `None` if nothing is, `""` if it refuses the file."""
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS_PER_FILE)
    try:
        result = target.read(path)
        return target.complaint(result)
    except target.errors as error:
        causes = [error, error.__cause__, error.__context__]
        return "ran out of memory" if any(isinstance(cause, MemoryError) for cause in causes) else ""
    except TooSlowError:
        return f"took more than {MOST_SECONDS_PER_FILE} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def fuzz(name: str, num_inputs: int, seconds: float, seed: int, folder: Path) -> dict[str, Any]:
    """Give corrupted files to one reader, and count what happens."""
    target = TARGETS[name]
    seeds = target.make_seeds(folder)
    for content in seeds:
        path = folder / f"whole{target.suffix}"
        path.write_bytes(content)
        if outcome(target, path) is not None:
            raise AssertionError(f"{name} must read the file that is to be corrupted: {outcome(target, path)!r}")
    rng = random.Random(f"{seed}-{name}")
    counts: dict[str, Any] = {"inputs": 0, "accepted": 0, "refused": 0, "findings": {}}
    path = folder / f"corrupted{target.suffix}"
    start = time.process_time()
    while counts["inputs"] < num_inputs and time.process_time() - start < seconds:
        content = mutate(rng.choice(seeds), seeds, rng)
        path.write_bytes(content)
        finding = outcome(target, path)
        counts["inputs"] += 1
        counts["accepted"] += finding is None
        counts["refused"] += finding == ""
        if finding:
            counts["findings"].setdefault(re.sub(r"[\d.]+", "#", finding), [finding, content.hex()])
    counts["seconds"] = round(time.process_time() - start, 1)
    return counts


def bound_memory() -> None:
    """Limit this process to 1 GiB more address space than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", help=f"all by default: {', '.join(TARGETS)}")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="of the processor, for each reader")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args(arguments)

    def stop(*_: Any) -> None:
        raise TooSlowError

    faulthandler.enable()
    signal.signal(signal.SIGPROF, stop)
    np.seterr(all="ignore")
    has_findings = False
    with tempfile.TemporaryDirectory(prefix="fuzzing-") as folder:
        bound_memory()
        for name in flags.readers or TARGETS:
            counts = fuzz(name, flags.inputs, flags.seconds, flags.seed, Path(folder))
            has_findings |= bool(counts["findings"])
            counts["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(json.dumps({"reader": name, **counts}), flush=True)  # noqa: T201
    return int(has_findings)


if __name__ == "__main__":
    sys.exit(main())
