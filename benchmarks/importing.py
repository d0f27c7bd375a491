"""What `import vidpoll` costs, as a ratio to `import requests` in the same run, both net of the interpreter's start.

    python benchmarks/importing.py [ROUNDS]

CPU time of fresh processes with compiled modules (in a folder of their own, whatever the environment says about
bytecode), in turns; the figure is the median of the rounds' ratios. "Ready" is
a client of one passed plugin with its first request made, so that requests is imported, too; "pluggy" is what that
takes at the least: requests and pluggy with nothing of vidpoll. Goals: at most 0.45, and
ready at most 1.20.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

READY = """
import vidpoll
class Plugin:
    @vidpoll.hookimpl
    def vidpoll_providers(self):
        status = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", "/" + job_id), lambda response, job_id: None)
        yield vidpoll.Provider("acme", "https://acme.example", vidpoll.NoAuth(), vidpoll.Pacing(), status)
client = vidpoll.Client(plugins=[Plugin()], discover=False)
account = client._state("acme").opened
account.wire(account.provider.status.request("7"), timeout=(10.0, 30.0))
"""
PROGRAMS = {
    "nothing": "pass",
    "requests": "import requests",
    "vidpoll": "import vidpoll",
    "pluggy": "import requests, pluggy, dataclasses; pluggy.PluginManager('vidpoll')",
    "ready": READY,
}


def cpu(program: str, environment: dict[str, str]) -> float:
    """Milliseconds of CPU of a fresh interpreter. Of three starts the cheapest one counts: others disturb."""
    return min(_cpu(program, environment) for _ in range(3))


def _cpu(program: str, environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000.0


def measure(rounds: int) -> list[dict[str, float]]:
    """What each program took in each round."""
    with tempfile.TemporaryDirectory() as compiled:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONPYCACHEPREFIX": compiled}
        for program in PROGRAMS.values():
            cpu(program, environment)  # compiles
        return [{name: cpu(program, environment) for name, program in PROGRAMS.items()} for _ in range(rounds)]


def main(rounds: int) -> None:
    took = measure(rounds)
    base = statistics.median(each["requests"] - each["nothing"] for each in took)
    print(f"import requests: {base:.0f} ms of CPU ({rounds} rounds)")
    for name in list(PROGRAMS)[2:]:
        ratios = sorted((each[name] - each["nothing"]) / (each["requests"] - each["nothing"]) for each in took)
        print(f"{name:8} {statistics.median(ratios):.2f} of it, from {ratios[0]:.2f} to {ratios[-1]:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
