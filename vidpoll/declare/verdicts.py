"""Job states that an HTTP status and the text of its body give, if there is no status word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .. import parsing
from ..errors import PluginError
from ..model import Problem, Response, State, is_number


@dataclass(frozen=True)
class Verdict:
    """A response with the HTTP status `status` whose body matches the pattern `match`, in any case, means `state`.

    `match` is a regular expression, searched for in the body. Raises PluginError for an invalid pattern, and for an
    empty one with a status other than 4xx: an outage would end a paid job.

    >>> Verdict(400, r"content.?moderat", State.FAILED).fits(Response(400, {}, b'{"error": "Content moderated"}'))
    True
    """

    status: int
    match: str
    state: State

    def __post_init__(self) -> None:
        if not is_number(self.status) or not 200 <= self.status < 600 or not isinstance(self.state, State):
            raise PluginError(f"Verdict needs an HTTP status and a State, got {self.status!r}, {self.state!r}")
        if not self.match and self.status not in range(400, 500):
            raise PluginError(f"Verdict {self.status!r}: match must be a pattern, only a 4xx may leave it empty")
        try:
            re.compile(self.match)
        except (re.error, TypeError) as error:
            raise PluginError(f"Verdict {self.status!r}: {self.match!r} is not a regular expression: {error}") from None

    def fits(self, response: Response) -> bool:
        """Whether the verdict applies to this response."""
        return response.status == self.status and re.search(self.match, response.text(), re.IGNORECASE) is not None

    def problem(self, response: Response) -> Problem | None:
        """Why the job ended; None if it continues or is completed."""
        ended = self.state.final and self.state is not State.COMPLETED
        return parsing.problem(response) if ended else None


def verdict_of(verdicts: Sequence[Verdict], response: Response) -> Verdict | None:
    """The first verdict that applies to a response."""
    return next((each for each in verdicts if each.fits(response)), None)
