"""Replays the responses of a transcript through a plugin's parser and the job's state machine; nothing is sent."""

from __future__ import annotations

import threading
from typing import Any

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.testing import FakeClock, FakeTransport

from .context import Context
from .output import COMPLETED, NOT_COMPLETED, UNKNOWN, counted, status_line

_END = "the transcript ends here"


class _Recorded(FakeTransport):
    """Plays the responses of one job; the next request raises NoAnswer and sets `ended`."""

    def __init__(self, replies: list[vidpoll.Response | NoAnswer], ended: threading.Event) -> None:
        super().__init__(replies)
        self._left = len(replies)
        self._ended = ended

    def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
        self._left -= 1
        if self._left < 0:
            self._ended.set()
            raise NoAnswer(_END)
        return super().send(wire, ticket)


def play(ref: str, entries: list[dict[str, Any]], replies: list[vidpoll.Response | NoAnswer], context: Context) -> int:
    """Run the responses through the plugin's parser and the job's state machine, as a wait would; nothing is sent."""
    job, ended, out = vidpoll.Job(ref), threading.Event(), context.out
    accounts = {job.account: vidpoll.Account(job.account, key=None)}
    clock, wire = FakeClock(float(entries[0]["at"])), _Recorded(replies, ended)
    with context.client_factory(accounts=accounts, clock=clock, transport=wire) as client:
        for event in client.watch(job, timeout=None, stop=ended, check=False):
            if not ended.is_set():
                out.line(str(event))
    cut = sum(bool(entry.get("cut")) for entry in entries)
    partly = f", {cut} of them cut" if cut else ""
    played = min(len(wire.sent), len(entries))
    if played < len(entries):
        out.line(f"the wait ends after {played} of the responses")
    out.line(f"{counted(len(entries), 'response')}{partly}; final state: {status_line(job, clock.time())}")
    return COMPLETED if job.ok else NOT_COMPLETED if job.final else UNKNOWN
