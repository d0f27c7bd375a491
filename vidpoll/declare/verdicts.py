"""Verdicts, and "not yet", that an HTTP status and the text of its body tell, where there is no status word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .. import parsing
from ..errors import PluginError
from ..model import Problem, Response, State, is_number


@dataclass(frozen=True)
class Verdict:
    """An answer with this HTTP status, in whose body the pattern is found whatever its case, means this state.

    Raises PluginError for a pattern that is none, and for a 5xx without one: an outage would end a paid job.

    >>> Verdict(400, r"content.?moderat", State.FAILED).fits(Response(400, {}, b'{"error": "Content moderated"}'))
    True
    """

    status: int
    match: str
    state: State

    def __post_init__(self) -> None:
        if not is_number(self.status) or not 200 <= self.status < 600 or not isinstance(self.state, State):
            raise PluginError(f"Verdict {self.status!r}, {self.state!r}: an HTTP status, and a vidpoll.State")
        if not self.match and self.status not in range(400, 500):
            raise PluginError(f"Verdict {self.status!r}: say with a pattern which bodies it is about")
        try:
            re.compile(self.match)
        except (re.error, TypeError) as error:
            raise PluginError(f"Verdict {self.status!r}: {self.match!r} is no regular expression: {error}") from None

    def fits(self, response: Response) -> bool:
        """Whether it is about this answer."""
        return response.status == self.status and re.search(self.match, response.text(), re.IGNORECASE) is not None

    def problem(self, response: Response) -> Problem | None:
        """Why the job ended; None where it goes on, or is completed."""
        ended = self.state.final and self.state is not State.COMPLETED
        return parsing.problem(response) if ended else None


def verdict_of(verdicts: Sequence[Verdict], response: Response) -> Verdict | None:
    """The first verdict that is about an answer."""
    return next((each for each in verdicts if each.fits(response)), None)
