"""The line at a gate: the tasks of one loop whose time has come, and whose account does not let them through yet.

First come, first served. A task leaves the line when it is let through, when its deadline is over, or when its account
is hopeless.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from .errors import OutcomeUnknown
from .gate import Gate
from .tasks import Setting, Task


class Line:
    """Tasks of one account, oldest first."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.tasks: deque[Task] = deque()
        self._rounds = 0  # of the gate, when the line was last looked through
        self._until = math.inf  # until when nobody's time is over

    def __len__(self) -> int:
        return len(self.tasks)

    def join(self, task: Task, now: float) -> None:
        """A task whose time has come."""
        self.gate.queue(task)
        task.queued_at = now
        self.tasks.append(task)
        self._until = min(self._until, math.inf if task.deadline is None else task.deadline)

    def step(self, now: float, spare: int) -> Task | None:
        """The next one, if the gate lets it through. What it stood here is the account's patience, not its own."""
        if not (self.tasks and self.gate.admit(self.tasks[0], now, spare)):
            return None
        task = self.tasks.popleft()
        task.patience.first_at += now - task.queued_at
        return task

    def withdraw(self, unwanted: Callable[[Task], bool]) -> list[Task]:
        """Take out those who need not be asked about any more."""
        out = [task for task in self.tasks if unwanted(task)]
        for task in out:
            self.tasks.remove(task)
            self.gate.leave(task, ended=True)
        return out

    def wake(self, now: float, spare: int) -> float:
        """When to look again."""
        return min(self._until, self.gate.opens(now, spare))

    def take_expired(self, setting: Setting, bound: float) -> list[tuple[Task, OutcomeUnknown | None]]:
        """Take out those who wait in vain, with the error that ends their wait (None: the deadline).

        In a line at an account that is well, the question on the deadline is still owed: it may be sent late, within
        the `bound` seconds of a request. Where the account is held or in trouble, it is not.
        """
        now = setting.now()
        if not self.tasks or (now < self._until and self._rounds == self.gate.rounds):
            return []
        grace = bound if self.gate.well(now) else 0.0
        kept: deque[Task] = deque()
        over: list[tuple[Task, OutcomeUnknown | None]] = []
        until = math.inf
        for task in self.tasks:
            error = task.account_error(setting)
            deadline = math.inf if task.deadline is None else task.deadline
            last = deadline if now < deadline else deadline + grace
            if error or last <= now:
                self.gate.leave(task)
                over.append((task, error))
            else:
                kept.append(task)
                until = min(until, last)
        self.tasks, self._until, self._rounds = kept, until, self.gate.rounds
        return over
