"""What surrounds the data of a response: where the data are, and how a 200 says that it is a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import parsing
from ..errors import KINDS, Malformed, PluginError, Refused
from ..model import Response
from .paths import Where, alternatives, check_where, find
from .refusals import by_code


@dataclass(frozen=True)
class Envelope:
    """Where the data are, and which HTTP 200 is a refusal.

    `under` is the path of the data, for example "data"; of several paths, the first that names a job counts (`("data",
    "")`: a webhook that sends the bare job). `code` is the path of the value that marks a refusal, `ok` its values on
    success (`(True,)` for a flag); a response without a code is a success. `message` is the path of the reason. `kinds`
    maps codes, as text, to kinds of `vidpoll.Refused`; the beginning of a code with dots is enough, and an unlisted
    code is "unknown". Raises PluginError for an invalid kind or path.

    >>> gate = Envelope("data", code="code", kinds={"1004": "auth"})
    >>> gate.open(Response(200, {}, b'{"code": 0, "data": {"plan": "pro"}}'))
    {'plan': 'pro'}
    """

    under: Where = ""
    code: Where = ""
    ok: tuple[Any, ...] = (0,)
    message: Where = ""
    kinds: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("under", "code", "message"):
            check_where(f"Envelope {name}", getattr(self, name))
        for code, kind in self.kinds.items():
            if not isinstance(code, str) or kind not in KINDS:
                raise PluginError(
                    f"Envelope kinds has {code!r}: {kind!r}; a code must be text, a kind one of {', '.join(KINDS)}"
                )
        if not isinstance(self.ok, tuple) or not self.ok:
            raise PluginError(f"Envelope ok must be a tuple of the codes of a success, like (0,), got {self.ok!r}")

    def check(self, response: Response) -> None:
        """Raise Refused for a body whose code is not one of `ok`."""
        body = parsing.json_object(response)
        code = find(body, self.code, _flag if isinstance(self.ok[0], bool) else _code)
        if code is None or code in (_flag(self.ok[0]), *map(_code, self.ok)):
            return
        problem = parsing.problem(response)
        told = problem.code if code in ("true", "false") else code
        message = find(body, self.message, parsing.text) or problem.message
        raise Refused(by_code(self.kinds, told) or "unknown", message, told)

    def candidates(self, response: Response) -> list[Any]:
        """The value at each path of `under`."""
        body = parsing.json_object(response)
        return [parsing.at(body, path) for path in alternatives(self.under) or ("",)]

    def open(self, response: Response) -> dict[str, Any]:
        """The object of the data. Raises Refused, and Malformed if there is none."""
        self.check(response)
        found = self.candidates(response)
        return self.whole(response, next((each for each in found if isinstance(each, dict)), found[0]))

    def whole(self, response: Response, data: Any) -> dict[str, Any]:
        """Return `data` if it is an object. Raises Malformed if not."""
        if isinstance(data, dict):
            return data
        where = next(iter(alternatives(self.under)), "") or "the body"
        raise Malformed(f"HTTP {response.status}: {where} must be a JSON object, got {type(data).__name__}")


def _code(value: Any) -> str | None:
    """A code as text, so that 0 and "0" are the same."""
    return None if isinstance(value, bool) else parsing.text(value)


def _flag(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None
