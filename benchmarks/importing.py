"""What `import vidpoll` costs, as a ratio to `import requests` in the same run, both net of the interpreter's start.

    python benchmarks/importing.py [ROUNDS]

CPU time of fresh processes with compiled modules, in turns; the figure is the median of the rounds' ratios. "Ready" is
a client of one passed plugin with its first request made, so that requests is imported, too. Goals: at most 0.45, and
ready at most 1.20.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

READY = """
import vidpoll
class Plugin:
    @vidpoll.hookimpl
    def vidpoll_providers(self):
        status = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", "/" + job_id), lambda response, job_id: None)
        yield vidpoll.Provider("acme", "https://acme.example", vidpoll.NoAuth(), vidpoll.Pacing(), status)
client = vidpoll.Client(plugins=[Plugin()], discover=False)
endpoint = client._endpoint("acme")
endpoint.wire(endpoint.provider.status.request("7"), timeout=(10.0, 30.0))
"""
PROGRAMS = {"nothing": "pass", "requests": "import requests", "vidpoll": "import vidpoll", "ready": READY}


def cpu(program: str) -> float:
    """Milliseconds of CPU of a fresh interpreter. Of three starts the cheapest one counts: others disturb."""
    return min(map(_cpu, [program] * 3))


def _cpu(program: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000.0


def main(rounds: int) -> None:
    for program in PROGRAMS.values():
        cpu(program)  # compiles
    took = [{name: cpu(program) for name, program in PROGRAMS.items()} for _ in range(rounds)]
    base = statistics.median(each["requests"] - each["nothing"] for each in took)
    print(f"import requests: {base:.0f} ms of CPU ({rounds} rounds)")
    for name in ("vidpoll", "ready"):
        ratios = sorted((each[name] - each["nothing"]) / (each["requests"] - each["nothing"]) for each in took)
        print(f"{name:8} {statistics.median(ratios):.2f} of it, from {ratios[0]:.2f} to {ratios[-1]:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
