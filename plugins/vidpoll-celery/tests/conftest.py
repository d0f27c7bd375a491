"""A shop: an app as its user writes it, its workers as processes of their own, the providers simulated on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vidpoll
from vidpoll.testing import Simulation, simulate

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TEN_LINES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]

ORDERS = """
import os

class Order:
    class objects:
        def filter(key):
            return Order(key)

    def __init__(self, key):
        self.key = key

    def update(self, url, problem):
        with open("told", "a") as file:
            file.write(f"{os.getpid()} {self.key} {url or problem}\\n")
"""

FILES = """
folders = dict.fromkeys(["data_folder_in", "data_folder_out", "control_folder"], "queues")
app.conf.broker_transport_options = {**folders, "polling_interval": 0.1}
"""

LONG = 60.0
"""Seconds in which something has to happen."""


class Shop:
    """`shop.py` in a folder of its own, and the processes that run it."""

    def __init__(self, folder: Path, simulation: Simulation) -> None:
        self.folder, self.simulation = folder, simulation
        self.environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(folder)}
        for name, url in simulation.base_urls.items():
            self.environ |= {f"{name.upper()}_BASE_URL": url, f"{name.upper()}_API_KEY": str(simulation.keys[name])}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.commands: dict[int, tuple[str, ...]] = {}
        (folder / "orders.py").write_text(ORDERS, encoding="utf-8")

    def write(self, *more: str, **options: float) -> None:
        """The ten lines with options of `install`, and what comes after them."""
        given = "".join(f", {name}={value}" for name, value in options.items())
        source = "\n".join(
            ["from orders import Order", TEN_LINES.replace('"token360"])', f'"token360"]{given})'), *more]
        )
        (self.folder / "shop.py").write_text(source, encoding="utf-8")

    def write_without_servers(self, **options: float) -> None:
        """The same with a broker and a store in the folder."""
        (self.folder / "queues").mkdir()
        self.write(**options)
        self.change("redis://redis/0", "filesystem://")
        self.change("postgresql://db/shop", "jobs.sqlite3")
        self.change("\nvideo = ", f"\n{FILES}\nvideo = ")

    def change(self, before: str, after: str) -> None:
        """Change what its user has written."""
        path = self.folder / "shop.py"
        path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """`celery -A shop …`, in a session of its own, so that its children can be ended with it."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "celery", "-A", "shop", *words],
                cwd=self.folder, env=self.environ, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        self.commands[process.pid] = (name, *words)
        return process

    def supervise(self) -> int:
        """Start again what has ended, as systemd does; how many."""
        ended = [process for process in self.processes if process.poll() is not None]
        for process in ended:
            self.processes.remove(process)
            self.start(*self.commands.pop(process.pid))
        return len(ended)

    def worker(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """A worker."""
        return self.start(name, "worker", "-n", f"{name}@shop", "-l", "INFO", *words)

    def beat(self) -> subprocess.Popen[bytes]:
        """What places `serve`."""
        return self.start("beat", "beat", "--pidfile", "", "-s", str(self.folder / "schedule"), "-l", "INFO")

    def submit(self, *keys: str) -> None:
        """As a view does, in a process of its own."""
        lines = [f"shop.video.submit.delay('magicoal', 't2v', {key!r}, prompt='a lighthouse')" for key in keys]
        code = "\n".join(["import shop", *lines])
        subprocess.run([sys.executable, "-c", code], cwd=self.folder, env=self.environ, check=True, timeout=LONG)

    @property
    def told(self) -> list[str]:
        """The keys of the verdicts that arrived, in order."""
        path = self.folder / "told"
        return [line.split()[1] for line in path.read_text().splitlines()] if path.exists() else []

    def log(self, name: str) -> str:
        """What a process said."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def until(self, true: Callable[[], bool], seconds: float = LONG) -> None:
        """Wait for something."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "\n".join(path.read_text() for path in self.folder.glob("*.log"))
            time.sleep(0.05)

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a process with its children."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End what runs still."""
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An empty one; a job takes about two seconds."""
    with simulate("magicoal", "token360", speed=40.0, magicoal={"credits": 100_000}) as simulation:
        made = Shop(tmp_path, simulation)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def video(tmp_path: Path) -> Iterator[object]:
    """An app with vidpoll and a broker in memory; no request is sent."""
    import vidpoll_celery
    from celery import Celery

    app = Celery("shop", broker="memory://", set_as_current=False)
    made = vidpoll_celery.install(app, store=tmp_path / "jobs.sqlite3", accounts={"acme": vidpoll.Account("acme")})
    yield made
    made.close()
