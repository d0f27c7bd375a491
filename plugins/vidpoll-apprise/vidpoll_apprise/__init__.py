"""The services of Apprise for vidpoll: completion and failure in a chat, by mail, on a phone.

    vidpoll.Client(plugins=[AppriseNotifier("discord://…")])              # or VIDPOLL_APPRISE_URLS=discord://…

The thread that waits makes the message, puts it into the spool if there is one, and continues. Each service has an
outbox of its own (`service`), so that a service that is down delays no other. Apprise is imported at its first use.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import vidpoll
from vidpoll import notify

from .message import DEFAULT_LINE, DEFAULT_TITLE, Message, Style, Tally
from .service import Service
from .spool import Spool

__all__ = ["AppriseNotifier", "vidpoll_notifiers"]

DEFAULT_ON = ("completed", "failed", "batch_stopped", "batch_ended")


class AppriseNotifier(notify.Listener):
    """Sends the events `on` to the services of `urls` (text or a list, in Apprise's form).

    Without `on` it reports that a job completed or failed; of a batch it reports the end and each account that stops,
    but not each row. With `on` it reports each named event, including those of a batch's rows.

    Each service gets at most one message in `every` seconds; events in between are sent together. A message that
    cannot be sent is tried again, for some minutes. `spool` is a folder that keeps a message until it has been sent:
    after a crash the next notifier with this spool sends the rest. `title` and `line` are templates. With `attach` a
    message about a single job includes its thumbnail, if it has one. At the end of the process the queued messages
    have `at_exit` seconds.

    Raises UsageError for a URL that Apprise refuses (the error does not show the URL, which contains a secret), an
    unknown event, or a template with an unknown field.
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        on: Sequence[str] | None = None,
        title: str = DEFAULT_TITLE,
        line: str = DEFAULT_LINE,
        every: float = 30.0,
        spool: str | os.PathLike[str] | None = None,
        attach: bool = True,
        at_exit: float = 10.0,
    ) -> None:
        self._rows = on is not None
        """Whether the jobs of a batch's rows are reported."""
        on = DEFAULT_ON if on is None else on
        unknown = [name for name in on if name not in notify.NAMES]
        if unknown or isinstance(on, str):
            shown = repr(on if isinstance(on, str) else unknown[0])
            raise vidpoll.UsageError(f"on must be a list of events, of {', '.join(notify.NAMES)}, got {shown}")
        if not (isinstance(every, (int, float)) and 0 <= every < math.inf):
            raise vidpoll.UsageError(f"every must be seconds, 0 or more, got {every!r}")
        self._on = frozenset(on)
        self._tally = Tally()
        self._lock = threading.Lock()
        style = Style(title, line, attach)
        self._spool = None if spool is None else Spool(spool)
        each = re.split(r"[\s,]+(?=[\w.+-]+://)|\s+", urls.strip()) if isinstance(urls, str) else list(urls)
        self._services = [
            Service(number, url, style=style, every=every, sent=self._sent, at_exit=at_exit)
            for number, url in enumerate(each, 1)
        ]
        left = [] if self._spool is None else self._spool.adopt()
        for message in left:
            self._put(message)

    def hear(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
        """Queue the event's message. With a spool it is on disk when this returns."""
        if job.row and not self._rows:
            return
        with self._lock:
            tally = "" if job.row else self._tally.count(event)
        if notify.name_of(event) not in self._on:
            return
        picture = job.thumbnail if isinstance(event, vidpoll.Completed) else None
        self._tell(Message(notify.plain(event), tally, picture, kept=notify.is_kept(event)))

    def hear_batch(self, said: Mapping[str, Any]) -> None:
        """Queue the message of a batch's stop or end."""
        if said["event"] in self._on:
            self._tell(Message(said, f"{said['done']:,} of {said['rows']:,} done"))

    def _tell(self, message: Message) -> None:
        try:
            if self._spool is not None and message.kept:
                self._spool.add(message)
        finally:  # a full disk is reported, and the message is sent anyway
            self._put(message)

    def flush(self, timeout: float) -> bool:
        """Send the queued messages now, and wait at most `timeout` seconds for that; True if none is left."""
        end = time.monotonic() + timeout
        for service in self._services:
            service.outbox.flush(0.0)
        done = [service.outbox.flush(max(end - time.monotonic(), 0.0)) for service in self._services]
        return all(done)

    def _put(self, message: Message) -> None:
        for service in self._services:
            if service.label not in message.told:
                service.outbox.put(message, keep=message.kept)

    def _sent(self, service: Service, messages: Sequence[Message]) -> None:
        for message in messages:
            with self._lock:
                message.told |= {service.label}
            if self._spool is not None:
                self._spool.told(message, done=message.told.issuperset(each.label for each in self._services))


@vidpoll.hookimpl
def vidpoll_notifiers(environ: Mapping[str, str]) -> Iterable[AppriseNotifier]:
    """The services of `VIDPOLL_APPRISE_URLS`, one notifier for all clients of a process."""
    names = ("URLS", "ON", "EVERY", "SPOOL", "TITLE", "LINE")
    given = {name.lower(): environ.get(f"VIDPOLL_APPRISE_{name}", "").strip() for name in names}
    if given["urls"]:
        yield _shared(tuple(sorted((name, value) for name, value in given.items() if value)))


@cache
def _shared(given: tuple[tuple[str, str], ...]) -> AppriseNotifier:
    options: dict[str, Any] = dict(given)
    if "on" in options:
        options["on"] = options["on"].replace(",", " ").split()
    if "every" in options:
        if not re.fullmatch(r"\d{1,6}(\.\d+)?", options["every"]):
            raise vidpoll.UsageError(f"VIDPOLL_APPRISE_EVERY must be seconds, like 30, got {options['every']!r}")
        options["every"] = float(options["every"])
    return AppriseNotifier(options.pop("urls"), **options)
