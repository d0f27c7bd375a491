"""What the tests of stores share: looking into the file, owners that are gone, a client that is killed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from acme_provider import REF, Talk

import vidpoll
from vidpoll.storage import records
from vidpoll.storage.records import Leases, Saved
from vidpoll.storage.sqlite import SqliteStore

NOW = 1_800_000_000.0
RESET = ConnectionResetError()
SUBMITTED = {"id": "j1", "status": "queued"}
GONE = "nowhere|4194305|0"
"""An owner on another host."""

MINE, ELSEWHERE = Leases(mine=frozenset({REF})), Leases(elsewhere=frozenset({REF}))


def dead(store: SqliteStore) -> str:
    """An owner on this host whose process is gone."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return f"{store.owner.split('|')[0]}|{child.pid}|0"


def sql(path: Path, statement: str, *values: object) -> list[Any]:
    """What a statement finds in a store's file."""
    with sqlite3.connect(path) as db:
        rows = db.execute(statement, values).fetchall()
    db.close()
    return rows


def kept(t: Talk, ref: str = REF) -> vidpoll.KeptJob:
    """A job as the store of a client has it."""
    return next(each for each in t.client.store.jobs() if each.ref == ref)


def broken(at: float) -> dict[str, Any]:
    """What a store keeps of a job that failed at that Unix second."""
    job = vidpoll.Job(REF)
    job.receive(vidpoll.Snapshot(vidpoll.State.FAILED, "broken"), at)
    return records.facts(job)


def crash(t: Talk) -> None:
    """End a client as kill -9 would: nothing is released, and its process is gone."""
    store = t.client._keeper.store
    sql(store.path, "UPDATE jobs SET owner = ? WHERE owner IS NOT NULL", dead(store))
    sql(store.path, "UPDATE jobs SET teller = ? WHERE teller IS NOT NULL", dead(store))


def seen(ref: str, *stages: str, done: bool = False) -> vidpoll.Job:
    """A job that was seen in these stages, a second each, and is completed where it is `done`."""
    made = vidpoll.Job(ref)
    for turn, stage in enumerate(stages):
        made.receive(vidpoll.Snapshot(vidpoll.State.RUNNING, stage), NOW + turn)
    if done:
        made.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, "done", assets_due=False), NOW + 9)
    return made


def saved(ref: str, *stages: str, done: bool = False, requests: int = 0) -> Saved:
    """The row of such a job."""
    return Saved(ref, records.facts(seen(ref, *stages, done=done)), requests)
