"""One service: its outbox, its retries, and the filter that keeps its URL, a secret, out of every log.

Only this module imports apprise, when the first service is made.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any
from urllib.parse import unquote

import vidpoll
from vidpoll import notify

from .message import Message, Style

DELAYS = (2.0, 10.0, 60.0, 300.0)
"""Seconds between one attempt to send and the next."""


class Service:
    """Sends messages to the service of one Apprise URL. `label` names it without showing its URL: "2 (discord)"."""

    def __init__(
        self,
        number: int,
        url: str,
        *,
        style: Style,
        every: float,
        sent: Callable[[Service, Sequence[Message]], None],
        at_exit: float,
    ) -> None:
        import apprise

        scheme = re.match(r"[\w.+-]+(?=://)", url)
        self.label = f"{number} ({scheme.group().lower() if scheme else 'no URL'})"
        self._hush = _hush()
        self._hush.learn(url)
        self._style = style
        self._sent = sent
        self._unsent: list[Message] = []
        # No pool of threads: at the end of the process, when many messages are sent, a pool is no longer usable.
        asset = apprise.AppriseAsset(app_id="vidpoll", async_mode=False, service_timeout=0)
        self._apprise = apprise.Apprise(asset=asset)
        with self._hush, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Apprise now imports its services, on 3.11 also imghdr
            taken = self._apprise.add([url])
        if not taken:
            raise vidpoll.UsageError(
                f"Apprise refuses URL {self.label}: see the permitted forms at https://github.com/caronc/apprise/wiki"
            )
        self.outbox: notify.Outbox[Message] = notify.Outbox(
            self._deliver, name=f"vidpoll-apprise {self.label}", every=every, at_exit=at_exit
        )

    def _deliver(self, messages: list[Message]) -> None:
        """Send all messages as one. Raises NotSent after the last attempt; they are then sent with the next ones."""
        messages = self._unsent + messages
        reason = self._send(messages)
        for delay in DELAYS:
            if reason is None:
                break
            waited = self.outbox.pause(delay)
            reason = self._send(messages)
            if not waited:  # a caller waits for the outbox to be empty: that was the last attempt
                break
        self._unsent = [] if reason is None else [message for message in messages if message.kept][-1000:]
        if reason is not None:
            raise NotSent(f"{len(messages)} event{'s' * (len(messages) != 1)} could not be sent: {reason}")
        self._sent(self, messages)

    def _send(self, messages: Sequence[Message]) -> str | None:
        """Send them as one message; None, or the reason of the failure."""
        from apprise import NotifyFormat, NotifyType

        worst = NotifyType.SUCCESS if all(message.good for message in messages) else NotifyType.WARNING
        if any(message.said["event"] == "failed" for message in messages):
            worst = NotifyType.FAILURE
        with self._hush as heard:
            try:
                done = self._apprise.notify(
                    body=self._style.body(messages),
                    title=self._style.titled(messages),
                    notify_type=worst,
                    body_format=NotifyFormat.TEXT,
                    attach=self._picture(messages),
                )
            except Exception as error:  # noqa: BLE001 - its text may contain the URL
                return type(error).__name__
        return None if done else next(iter(heard), "Apprise gives no reason")

    def _picture(self, messages: Sequence[Message]) -> Any:
        """The thumbnail of a single job, if it is available. Only its bytes: Apprise interprets options in a URL."""
        from apprise.attachment.memory import AttachMemory

        fetch = messages[0].picture
        if len(messages) > 1 or not self._style.attach or fetch is None:
            return None
        body = fetch()
        if body is None:
            return None
        return AttachMemory(content=body, name="thumbnail", mimetype=_media_type(body))  # type: ignore[no-untyped-call]


def _media_type(body: bytes) -> str:
    types = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"GI": "image/gif", b"RI": "image/webp"}
    return types.get(body[:2], "image/avif")


class NotSent(Exception):
    """A service did not accept a message. vidpoll logs it and warns; a caller need not catch it."""


@cache
def _hush() -> _Hush:
    """One filter for the process, like logging itself."""
    hush = _Hush()
    for name in ("apprise", "urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(hush)
    return hush


class _Hush(logging.Filter):
    """Inside `with`, Apprise's log records of this thread reach no log, but a list, without secrets.

    Outside, no line of these loggers shows a part of a known URL.
    """

    def __init__(self) -> None:
        super().__init__()
        self._here: ContextVar[list[str] | None] = ContextVar("heard", default=None)
        self._parts: frozenset[str] = frozenset()

    def learn(self, url: str) -> None:
        """Remember the parts of a URL: each of them (host, path, query) may be its secret."""
        _, _, rest = url.partition("://")
        found = {part for part in re.split(r"[/:@?&=,#;+\s]", rest) if part}
        self._parts |= found | {unquote(part) for part in found}

    def __enter__(self) -> list[str]:
        heard: list[str] = []
        self._here.set(heard)
        return heard

    def __exit__(self, *_: object) -> None:
        self._here.set(None)

    def filter(self, record: logging.LogRecord) -> bool:
        heard = self._here.get()
        text = record.getMessage()
        hidden = self.hidden(text)
        if heard is not None:
            if record.levelno >= logging.WARNING:
                heard.append(hidden)
            return False
        if hidden != text:
            record.msg, record.args, record.exc_info, record.exc_text = hidden, None, None, None
        return True

    def hidden(self, text: str) -> str:
        """A text without any part of a known URL; short parts are hidden only if they are whole words."""
        for part in sorted(self._parts, key=len, reverse=True):
            if part in text:
                text = re.sub(re.escape(part) if len(part) > 5 else rf"(?<!\w){re.escape(part)}(?!\w)", "…", text)
        return text
