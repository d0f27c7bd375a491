"""Fuzzes what reads foreign bytes: parsers, heads and chunks, headers, references, texts, records, whole waits.

    python tests/fuzz/fuzz.py --seconds 60                   a minute, shared by all targets
    python tests/fuzz/fuzz.py --seconds 600 --target heads   ten minutes of one
    python tests/fuzz/fuzz.py --seed 7                       the inputs of a seed, the same on each machine
    python tests/fuzz/fuzz.py --target heads --input HEX     one input again

Where atheris is installed it looks for inputs by the code that they reach, unless a seed is given; else a generator
changes well-formed inputs. Prints a line a target. Exits with 1 where an exception came out that is not one of
vidpoll's typed ones, where something shown was not safe, or where one input took more than 0.2 s of processor time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from random import Random
from typing import NamedTuple

LIMIT = 0.2
"""Seconds of processor time for one input."""

FINDINGS = 3
"""So many of a target are told; then it goes no further."""

INSTRUMENTED = 5.0
"""So many times as long as without it may a program take that atheris watches."""


class Finding(NamedTuple):
    """An input that does what none may, and what that is."""

    data: bytes
    what: str


class Result(NamedTuple):
    """What one target showed. `slowest` is the processor time of one input, in seconds, and that input."""

    inputs: int
    slowest: tuple[float, bytes]
    findings: list[Finding]


def examine(call: Callable[[bytes], None], data: bytes, limit: float = LIMIT) -> tuple[float, str]:
    """The processor time that an input takes, and what is wrong with it: "" for nothing."""
    spent, wrong = _once(call, data)
    if not wrong and spent > limit:  # something else may have taken the time: the better of two counts
        spent = min(spent, _once(call, data)[0])
    return spent, wrong or (f"{spent:.2f} s of processor time" if spent > limit else "")


def _once(call: Callable[[bytes], None], data: bytes) -> tuple[float, str]:
    start = time.process_time()
    try:
        call(data)
    except Exception as error:  # noqa: BLE001 - it is what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {str(error)[:200]!r} at {Path(frame.filename).name}:{frame.lineno}"
        return time.process_time() - start, said
    return time.process_time() - start, ""


def run(name: str, inputs: Iterator[bytes], until: Callable[[], bool], limit: float = LIMIT) -> Result:
    """Feed a target with inputs until it is time, or there are findings enough."""
    from fuzz_targets import SHORTEST, TARGETS

    call, done, slowest = TARGETS[name].call, 0, (0.0, b"")
    findings: dict[str, Finding] = {}
    for data in inputs:
        if until() or len(findings) == FINDINGS:
            break
        if len(data) < SHORTEST:
            continue
        done += 1
        spent, wrong = examine(call, data, limit)
        slowest = max(slowest, (spent, data), key=lambda each: each[0])
        if wrong:
            findings.setdefault(wrong.rpartition(" at ")[2], Finding(data, wrong))
    return Result(done, slowest, list(findings.values()))


def generated(name: str, seed: int) -> Iterator[bytes]:
    """The inputs of a target by a seed, without end."""
    from fuzz_inputs import make
    from fuzz_targets import TARGETS

    seeds = TARGETS[name].seeds
    yield from map(bytes, seeds)
    for number in count():
        yield make(Random(f"{seed}:{name}:{number}"), seeds)


def _within(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _watched(name: str, seconds: float) -> Result:
    """A target under atheris, in a process of its own; what it finds is looked at again without atheris."""
    from fuzz_targets import TARGETS

    with tempfile.TemporaryDirectory(prefix="vidpoll-corpus-") as folder:
        for number, seed in enumerate(TARGETS[name].seeds):
            Path(folder, str(number)).write_bytes(bytes(seed))
        line = [sys.executable, __file__, "--child", folder, "--target", name, "--seconds", str(seconds)]
        child = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)
    if child.returncode:
        return Result(
            0, (0.0, b""), [Finding(b"", f"the process ended with {child.returncode}: {child.stderr[-600:]}")]
        )
    told = json.loads(child.stdout.splitlines()[-1])
    slowest, looked = bytes.fromhex(told["slowest"]), [bytes.fromhex(each) for each in told["findings"]]
    found = [(data, examine(TARGETS[name].call, data)[1]) for data in looked]
    spent = examine(TARGETS[name].call, slowest)[0] if slowest else 0.0
    return Result(told["inputs"], (spent, slowest), [Finding(data, wrong) for data, wrong in found if wrong])


def _child(name: str, seconds: float, folder: str) -> None:
    """The process that atheris drives. It never comes back: what it found is its last line."""
    import atheris

    with atheris.instrument_imports(include=["vidpoll", "vidpoll_providers"]):
        from fuzz_targets import SHORTEST, TARGETS

    call, until = TARGETS[name].call, _within(seconds)
    done, slowest = 0, (0.0, b"")
    findings: dict[str, bytes] = {}

    def one(data: bytes) -> None:
        nonlocal done, slowest
        if until() or len(findings) == FINDINGS:
            found = [each.hex() for each in findings.values()]
            print(json.dumps({"inputs": done, "slowest": slowest[1].hex(), "findings": found}), flush=True)
            os._exit(0)
        if len(data) < SHORTEST:
            return
        done += 1
        spent, wrong = examine(call, data, LIMIT * INSTRUMENTED)
        slowest = max(slowest, (spent, data), key=lambda each: each[0])
        if wrong:
            findings.setdefault(wrong.rpartition(" at ")[2], data)

    atheris.Setup([sys.argv[0], folder, "-max_len=16384", "-rss_limit_mb=0", "-timeout=120"], one)
    atheris.Fuzz()


def _told(name: str, result: Result) -> None:
    """A line about a target, and three about each finding."""
    spent, data = result.slowest
    print(f"{name:<11}{result.inputs:>10,} inputs, slowest {spent:.3f} s ({len(data):,} bytes), "
          f"{len(result.findings)} findings", flush=True)  # fmt: skip
    for finding in result.findings:
        print(f"  {finding.what}\n    python tests/fuzz/fuzz.py --target {name} --input {_written(finding.data)}")


def _written(data: bytes) -> str:
    """An input as an argument: hex, or where that is long a file that is left."""
    if len(data) <= 1000:
        return data.hex()
    file, path = tempfile.mkstemp(prefix="vidpoll-fuzz-", suffix=".input")
    with os.fdopen(file, "wb") as out:
        out.write(data)
    return path


def _again(name: str, given: str) -> int:
    from fuzz_targets import TARGETS

    data = Path(given).read_bytes() if os.path.sep in given else bytes.fromhex(given)
    spent, wrong = examine(TARGETS[name].call, data)
    print(f"{name}: {data[:2000]!r}\n{spent:.3f} s, {wrong or 'nothing is wrong'}")
    with contextlib.suppress(AssertionError):
        if wrong and spent < LIMIT:
            TARGETS[name].call(data)
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together (60)")
    parser.add_argument("--seed", type=int, help="of the generator; without one, a new one, or atheris")
    parser.add_argument("--target", action="append", help="one of them; may be repeated (all)")
    parser.add_argument("--input", help="one input of one target: hex, or the path of a file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.getLogger("vidpoll").addHandler(logging.NullHandler())
    if args.child:
        _child(args.target[0], args.seconds, args.child)
    if args.input is not None:
        return _again(args.target[0], args.input)
    from fuzz_targets import TARGETS

    names = args.target or list(TARGETS)
    watched = args.seed is None and find_spec("atheris") is not None
    seed = Random().randrange(2**32) if args.seed is None else args.seed
    print(f"by {'atheris' if watched else f'the generator, --seed {seed}'}", flush=True)
    share, results = args.seconds / len(names), []
    for name in names:
        result = _watched(name, share) if watched else run(name, generated(name, seed), _within(share))
        _told(name, result)
        results.append(result)
    findings = sum(len(result.findings) for result in results)
    print(f"{sum(result.inputs for result in results):,} inputs, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
