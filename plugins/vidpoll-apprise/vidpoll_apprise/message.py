"""The messages: one for each event, the title and body of several together, and the count of the jobs.

Text only. This module does not send, wait or write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import vidpoll

DEFAULT_TITLE = "{title}"
DEFAULT_LINE = "{text}"
MOST_LINES = 30
"""The most lines of one message; the rest is counted."""

LINE_FIELDS = ("at", "cost", "event", "path", "problem", "ref", "stage", "state", "text", "video")
TITLE_FIELDS = ("tally", "title")


@dataclass(eq=False)
class Message:
    """One event to report. `said` is the event as plain values, `told` are the services that already have it."""

    said: Mapping[str, Any]
    tally: str = ""
    picture: Callable[[], bytes | None] | None = field(default=None, repr=False)
    """Fetches the job's thumbnail; None if there is none, and for a message that was found in the spool."""
    kept: bool = True
    told: frozenset[str] = frozenset()
    key: int | None = field(default=None, repr=False)
    """Its place in the spool."""

    @property
    def good(self) -> bool:
        """False if the event may need the user's attention."""
        if self.said["event"] == "batch_ended":
            return bool(self.said["done"] == self.said["rows"])
        return self.said["event"] in ("completed", "downloaded", "progress", "stage_changed")


@dataclass(frozen=True)
class Style:
    """The templates of messages. Raises UsageError for a template with an unknown field."""

    title: str = DEFAULT_TITLE
    line: str = DEFAULT_LINE
    attach: bool = True

    def __post_init__(self) -> None:
        for template, fields in ((self.title, TITLE_FIELDS), (self.line, LINE_FIELDS)):
            try:
                template.format_map(dict.fromkeys(fields, ""))
            except (KeyError, ValueError, IndexError, AttributeError) as error:
                known = ", ".join(f"{{{name}}}" for name in fields)
                raise vidpoll.UsageError(
                    f"the template {template!r} cannot be used ({error}): the fields are {known}"
                ) from None

    def titled(self, messages: Sequence[Message]) -> str:
        """The title of one message, or of several that are sent together."""
        last = messages[-1]
        title = last.tally or f"{len(messages)} events"
        if len(messages) == 1:
            what = last.said.get("state") or last.said["event"].removeprefix("batch_").replace("_", " ")
            title = f"{tame(last.said['ref'])} {what}" + (f" ({last.tally})" if last.tally else "")
        return self.title.format_map({"title": title, "tally": last.tally})

    def body(self, messages: Sequence[Message]) -> str:
        """A line for each message."""
        shown = messages if len(messages) <= MOST_LINES else messages[: MOST_LINES - 1]
        lines = [self.line.format_map(_fields(message.said)) for message in shown]
        more = [f"… and {len(messages) - len(shown)} more"] if len(shown) < len(messages) else []
        return "\n".join(lines + more)


def _fields(said: Mapping[str, Any]) -> dict[str, str]:
    problem, cost = said.get("problem") or {}, said.get("cost") or {}
    video = next((asset["url"] for asset in said.get("assets", ()) if asset["kind"] == "video"), None)
    money = f"{max(0.0, cost['charged'] - cost['refunded']):,.12g} {cost['unit']}" if cost else None
    values = {**said, "problem": problem.get("message"), "cost": money, "video": video}
    return {name: "" if values.get(name) is None else tame(str(values[name])) for name in LINE_FIELDS}


def tame(text: str) -> str:
    """A provider's text, changed so that in a chat it is only text: it pings nobody there, and hides no address."""
    for pattern, instead in _ORDERS:
        text = pattern.sub(instead, text)
    return text


_ORDERS = (
    (re.compile(r"<(?=[@!#:&]|\w+:)"), "\u2039"),  # <@1>, <!channel>, <#C1>, <:face:1>, <http://…|words>
    (re.compile(r"(?i)@(?=everyone|here|channel|all|room)|(?<!\w)@(?=[\w&!])"), "\uff20"),
    (re.compile(r"\](?=\()"), "] "),
)
"""What Discord, Slack, Mattermost, Matrix and Telegram read as a mention or a link, and the replacement."""


class Tally:
    """How many of the known jobs are done: "12 of 40 done, 1 failed". It starts again when all are done."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._ended = {"done": 0, "failed": 0, "unknown": 0}

    def count(self, event: vidpoll.Event) -> str:
        """Count an event; return the tally after it, "" if there is only one job."""
        ends = {vidpoll.Completed: "done", vidpoll.Failed: "failed", vidpoll.GaveUp: "unknown"}
        end = ends.get(type(event))
        if end is None:
            if not isinstance(event, vidpoll.Downloaded):
                self._open.add(event.ref)
            return self._words()
        self._open.discard(event.ref)
        self._ended[end] += 1
        words = self._words()
        if not self._open:
            self._ended = dict.fromkeys(self._ended, 0)
        return words

    def _words(self) -> str:
        total = len(self._open) + sum(self._ended.values())
        words = [f"{self._ended['done']} of {total} done"]
        words += [f"{self._ended[end]} {end}" for end in ("failed", "unknown") if self._ended[end]]
        return ", ".join(words) if total > 1 else ""
