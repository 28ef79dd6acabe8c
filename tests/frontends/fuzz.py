"""What both fuzzers share: damage files under a limit of memory and time, and collect what went wrong."""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

MEMORY = 2 << 30
SECONDS = 10


class Hang(BaseException):
    """A file took longer than ``SECONDS``; no handler of the code under test catches it."""


def run(
    mutate: Callable[[bytes, random.Random], bytes],
    attempt: Callable[[bytes], str],
    seed: int,
    count: int,
    files: list[Path],
) -> dict[str, object]:
    """Damage the files in turn and collect what went wrong."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    rng = random.Random(seed)
    seeds = [f.read_bytes() for f in files]
    tally = {"accepted": 0, "refused": 0}
    failures: list[str] = []
    slowest = 0.0

    def hang(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, hang)
    for number in range(count):
        data = mutate(seeds[number % len(seeds)], rng)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        started = time.monotonic()
        try:
            tally[attempt(data)] += 1
        except BaseException:
            failures.append(f"{files[number % len(seeds)].name} number {number}:\n{traceback.format_exc()}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, time.monotonic() - started)
    return {"tried": count, **tally, "slowest": slowest, "failures": failures}


def main(mutate: Callable[[bytes, random.Random], bytes], attempt: Callable[[bytes], str]) -> None:
    """``SEED COUNT FILE...`` from the command line; prints the tally as JSON."""
    print(json.dumps(run(mutate, attempt, int(sys.argv[1]), int(sys.argv[2]), [Path(a) for a in sys.argv[3:]])))
