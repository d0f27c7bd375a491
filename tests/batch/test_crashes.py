"""A process that dies in the middle of a batch, at any call of the store and any request: once only, and none lost.

python tests/batch/test_crashes.py      # every moment; the suite takes some of them
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import pytest
from batch_runs import Night, Server, night
from kept_jobs import dead, sql

import vidpoll
from vidpoll.net.accounts import WireRequest
from vidpoll.net.workers import Ticket
from vidpoll.testing import FakeClock

ROWS = 3
SOME = range(1, 200, 17)


class Killed(BaseException):
    """The process is gone."""


class Killing:
    """Kills a client at its `moment`-th step: before or after a transaction of its store, or a request.

    Or it is only interrupted there, once (Ctrl-C).
    """

    def __init__(self, n: Night, moment: int, *, dies: bool) -> None:
        self.steps, self.moment, self.gone, self.dies, self.over = 0, moment, False, dies, False
        self.store, transport = n.client._keeper.store, n.client._loop.transport  # type: ignore[union-attr]
        self._transaction, self._begin = self.store._transaction, transport.begin
        self.store._transaction = self.transaction  # type: ignore[method-assign]
        transport.begin = self.begin  # type: ignore[method-assign]

    def step(self) -> None:
        self.steps += 1
        now = self.steps == self.moment
        self.gone = self.gone or now
        if self.over:
            raise vidpoll.StoreError("what is left of a process that is gone keeps nothing")
        if now or (self.gone and self.dies):
            raise Killed if self.dies else KeyboardInterrupt

    @contextmanager
    def transaction(self, *args: Any, **options: Any) -> Iterator[Any]:
        self.step()
        with self._transaction(*args, **options) as db:
            yield db
        self.step()

    def begin(self, wire: WireRequest, inbox: Queue[Any], start: Any = None) -> Ticket:
        if start is not None:  # of a file, in its own thread
            return self._begin(wire, inbox, start)
        self.step()
        ticket = self._begin(wire, inbox)
        while not ticket.done:
            pass
        self.step()
        return ticket


def killed(folder: Path, server: Server, moment: int, *, dies: bool) -> bool:
    """Run the batch until it is killed; whether it was, before its end."""
    n = night(folder, server=server)
    killing = Killing(n, moment, dies=dies)
    try:
        for _ in n.batch(ROWS, price={"shop/clip": "1USD"}, budget="3 USD", slots=3):
            pass
    except (Killed, KeyboardInterrupt):
        pass
    if not dies:
        killing.moment = 0
        n.client.close()
        return killing.gone
    killing.over = True
    killing.store._link.closed = True
    owner = dead_owner(killing.store)
    for table in ("submits", "jobs"):
        sql(folder / "jobs.sqlite3", f"UPDATE {table} SET owner = ? WHERE owner IS NOT NULL", owner)
    sql(folder / "jobs.sqlite3", "UPDATE jobs SET teller = ? WHERE teller IS NOT NULL", owner)
    return killing.gone


_DEAD: list[str] = []


def dead_owner(store: Any) -> str:
    if not _DEAD:
        _DEAD.append(dead(store))
    return _DEAD[0]


def check(folder: Path, moment: int, *, dies: bool) -> bool:
    """A batch that is killed at a moment, and run again: what came of it; whether it was killed at all."""
    server = Server(FakeClock())
    was_killed = killed(folder, server, moment, dies=dies)
    n = night(folder, server=server)
    batch = n.batch(ROWS, price={"shop/clip": "1USD"}, budget="3 USD", slots=3)
    for _ in batch:
        pass
    bought = Counter(server.bought)
    assert max(bought.values()) == 1, (moment, bought)
    for key, row in batch.rows.items():
        if row.state == "completed":
            assert [path.read_bytes()[4:8] for path in row.paths] == [b"ftyp"], (moment, key)
            assert all(path.with_name(f"{path.name}.json").exists() for path in row.paths), (moment, key)
        else:  # its answer had come, or not: nobody can know, and nothing is bought again
            assert row.state == "unknown", (moment, key, row)
            assert len(n.client.store.unknown_submits()) >= 1
    unknown = sum(row.state == "unknown" for row in batch.rows.values())
    assert batch.ledger["USD"] == (ROWS - unknown, 0.0, unknown), (moment, batch.ledger)
    return was_killed


@pytest.mark.parametrize("moment", SOME)
def test_killed_at_a_moment(tmp_path: Path, moment: int) -> None:
    """Bought twice 0, lost 0; each file whole with its sidecar, the ledger as if nothing had been."""
    check(tmp_path, moment, dies=moment % 2 == 0)


if __name__ == "__main__":
    for dies in (True, False):
        for each in range(1, 1000):
            with tempfile.TemporaryDirectory() as folder:
                if not check(Path(folder), each, dies=dies):
                    print(f"{each - 1} moments, {'killed' if dies else 'interrupted'}: bought twice 0, lost 0")
                    break
