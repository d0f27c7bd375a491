"""Every error of vidpoll, split by who must act. Nothing else lives here, and this module imports nothing of vidpoll.

VidpollError
├── UsageError               you: the call is wrong; nothing was sent
│   ├── BadReference         a reference or an id that cannot be one
│   ├── UnknownProvider      no installed plugin has that name
│   ├── MissingKey           the key's environment variable is not set
│   ├── InvalidField         a submit or list field that the provider does not take
│   ├── BatchInvalid         a batch with rows that cannot be sent; `.problems` has them all
│   └── Unsupported          the provider has no such operation
├── ConfigurationError       you: this machine (a proxy, certificates, threads); nothing was sent; the message says what
├── StoreError               you: the file that keeps jobs cannot be used; the message says why, and the way out
├── PluginError              the plugin's author: it does not load, validate or keep its contract
├── AnswerError              nobody yet: one answer says nothing about the job; a wait bears it and asks again
│   ├── Malformed            not JSON, or not of the documented shape
│   ├── UnknownStatus        a status word that the plugin does not list
│   ├── ForeignAnswer        an answer about another job
│   ├── BadSignature         a pushed body that is not the provider's, or too old
│   └── TransitionRefused    an answer that contradicts a final state
├── ProviderError            you or the provider: a refusal with status, code, message, details, request id
│   ├── AuthenticationError  401   ├── NotFound     404 410    ├── RateLimited  429
│   ├── PermissionDenied     403   ├── Conflict     409        └── ServerError  5xx, and whatever is left
│   ├── PaymentRequired      402   └── InvalidRequest 400 413 422
├── Refused                  raised by a parser, never by vidpoll: a 200 that is really a refusal
├── JobError                 the provider ended the job without a result; `.job.problem` says why
│   ├── JobFailed
│   ├── JobCancelled
│   └── JobExpired
├── OutcomeUnknown           nobody knows how the job ends: it goes on at the provider; `.resume` is the way back
│   ├── WaitTimeout          the deadline came first
│   ├── ProviderUnreachable  nothing but faults for `patience` seconds
│   ├── JobNotFound          the provider says, several times, that it has no such job
│   ├── WaitStopped          `stop` was set
│   ├── WaitRefused          400 401 402 403 451 in a wait (also a ProviderError)
│   └── WaitNotSent          a question cannot be sent from this machine (also a ConfigurationError)
├── SubmitUnknown            a submit that may have been received; it is never sent twice; `.sent` is what it carried
├── ResultMissing            a finished job without the asset that was asked for
└── DownloadError            a file that is not there, and never half there
    ├── DownloadTruncated    fewer bytes than announced
    ├── DownloadChanged      other bytes than promised, or than before
    ├── DownloadTooLarge     more bytes than allowed
    ├── UnsafeURL            not http or https, https turned http, or user data in the URL
    └── NotAVideo            the bytes are not those of the kind of file that was promised

Every error is made of one message and optional keyword arguments, so that it can be pickled. `job` is the
`vidpoll.Job` that the error is about, where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class VidpollError(Exception):
    """The root of all errors of vidpoll. `job` is the job that it is about, or None."""

    def __init__(self, message: str = "", *, job: Any = None) -> None:
        super().__init__(message)
        self.job = job

    @property
    def transcript(self) -> tuple[Any, ...]:
        """The last answers about the job (`vidpoll.Exchange`), oldest first, safe to show; empty without a job."""
        return () if self.job is None else tuple(self.job.transcript)

    @property
    def message(self) -> str:
        """The text of the error, safe to show: no key, no query of a signed URL, no control characters."""
        return str(self.args[0]) if self.args else ""


class UsageError(VidpollError):
    """The call is wrong. Raised before anything was sent."""


class BadReference(UsageError):
    """Not `account:id`, or an id that no provider can have (empty, `.`, `..`, control characters)."""


class UnknownProvider(UsageError):
    """No account and no installed plugin has that name."""


class MissingKey(UsageError):
    """The environment variable that holds the account's key is not set."""


class InvalidField(UsageError):
    """A field of a submit or list call is unknown, missing or outside the documented limits."""


class BatchInvalid(UsageError):
    """Rows of a batch that cannot be sent: all that is wrong, told at once, one line each. Nothing was sent.

    `problems` has every one, with `place` ("row 7"), `column` ("" where it is about the whole row) and `message`.
    """

    def __init__(self, message: str = "", *, job: Any = None, problems: tuple[Any, ...] = ()) -> None:
        super().__init__(message, job=job)
        self.problems = problems


class Unsupported(UsageError):
    """The provider documents no such operation."""


class ConfigurationError(VidpollError):
    """This machine cannot send the request; nothing was sent, and it would be the same again.

    A proxy that cannot be used, a CA file that is not there, no thread. The message names the variable that sets it.
    """


class StoreError(VidpollError):
    """The store cannot be read or written: damaged, read-only, locked, on a full disk, or a newer vidpoll's."""


class PluginError(VidpollError):
    """A plugin does not load, does not validate, or broke its contract."""


class AnswerError(VidpollError):
    """One answer that says nothing about the job. A wait bears it and asks again."""


class Malformed(AnswerError):
    """An answer that is not JSON or not of the documented shape.

    `wordless` says that it is well but for its status word: a wait goes on where such an answer names the job.
    """

    def __init__(self, message: str = "", *, job: Any = None, wordless: bool = False) -> None:
        super().__init__(message, job=job)
        self.wordless = wordless


class UnknownStatus(AnswerError):
    """A status word that the plugin does not list.

    `word` is the word as text. In a wait it becomes the stage, and the state stays.
    """

    def __init__(self, message: str = "", *, job: Any = None, word: str = "") -> None:
        super().__init__(message, job=job)
        self.word = word


class ForeignAnswer(AnswerError):
    """An answer that names another job than the one that was asked about. Its content is never adopted.

    `named` is the id that it names; empty where it is not known.
    """

    def __init__(self, message: str = "", *, job: Any = None, named: str = "") -> None:
        super().__init__(message, job=job)
        self.named = named


class BadSignature(AnswerError):
    """A pushed body that is not the provider's, or too old: its signature does not fit. Do not use what it says."""


class TransitionRefused(AnswerError):
    """An answer that would move a job out of a final state. The job is unchanged."""


class ProviderError(VidpollError):
    """The provider refused. `status` is the HTTP status, the rest as the provider said it.

    `category` is the class of failure, one of `CATEGORIES`; None where neither the code nor the status tells it.
    `charged` is whether the provider keeps money for what it refused; None: not known.
    """

    def __init__(
        self,
        message: str = "",
        *,
        job: Any = None,
        status: int | None = None,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        category: str | None = None,
        charged: bool | None = None,
    ) -> None:
        super().__init__(message, job=job)
        self.status = status
        self.code = code
        self.details = dict(details or {})
        self.request_id = request_id
        self.category = category
        self.charged = charged


class AuthenticationError(ProviderError):
    """401: the key is missing, wrong or expired."""


class PermissionDenied(ProviderError):
    """403: the key may not do this."""


class PaymentRequired(ProviderError):
    """402: the balance does not pay for it. Nothing was bought."""


class InvalidRequest(ProviderError):
    """400, 413 or 422: the provider does not accept what was sent, or its moderation does not."""


class NotFound(ProviderError):
    """404, 410: the provider has no such thing, or no more."""


class Conflict(ProviderError):
    """409: not now, in the state that the job is in."""


class RateLimited(ProviderError):
    """429: too many requests, too many jobs at once, or the quota of a day is used up; `category` tells which."""


class ServerError(ProviderError):
    """5xx, no answer at all, or a status that fits nowhere else."""


CATEGORIES: dict[str, type[ProviderError]] = {
    "capacity": RateLimited,  # as many jobs at once as the account may have, or the provider can bear
    "rate": RateLimited,  # too many requests in a short time
    "quota": RateLimited,  # what the account may do in a day or a month is used up
    "money": PaymentRequired,
    "auth": AuthenticationError,  # with HTTP 403 PermissionDenied
    "input": InvalidRequest,
    "moderated_input": InvalidRequest,  # what was sent is not allowed
    "moderated_output": InvalidRequest,  # what was made is not shown
    "internal": ServerError,
    "expired": NotFound,
}
"""The classes of failure, which tell what to do next, each with the error that a refusal of it is."""

KINDS: dict[str, type[ProviderError]] = {
    **CATEGORIES,
    "permission": PermissionDenied,
    "not found": NotFound,
    "conflict": Conflict,
    "unknown": ServerError,
}
"""The words for a refusal: the classes of failure, and four that are none."""


class Refused(VidpollError):
    """Raised by a parser, never by vidpoll: a 200 that is really a refusal.

    `kind` is a key of `KINDS`: a class of failure ("money", say), "permission", "not found", "conflict" or "unknown".
    It is then treated as the HTTP status of that kind would be.
    """

    def __init__(self, kind: str, message: str = "", code: str | None = None) -> None:
        if kind not in KINDS:
            raise PluginError(f"Refused({kind!r}): the kind must be one of {', '.join(map(repr, KINDS))}")
        super().__init__(message)
        self.args = (kind, message, code)
        self.kind = kind
        self.code = code

    @property
    def message(self) -> str:
        return str(self.args[1])

    def __str__(self) -> str:
        return self.message or self.kind


class JobError(VidpollError):
    """The provider ended the job without a result."""


class JobFailed(JobError):
    """The provider says that the job failed."""


class JobCancelled(JobError):
    """The provider says that the job was cancelled."""


class JobExpired(JobError):
    """The provider says that the job or its record is gone (its word, or HTTP 410)."""


class OutcomeUnknown(VidpollError):
    """We stopped asking; the job goes on at the provider and may yet complete.

    `resume` is the line of Python that goes on waiting for the same job. Waiting again costs nothing; submitting again
    would pay twice.
    """

    def __init__(self, message: str = "", *, resume: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.resume = resume or (None if self.job is None else self.job.resume())


class WaitTimeout(OutcomeUnknown, TimeoutError):
    """The deadline came before a verdict."""


class ProviderUnreachable(OutcomeUnknown):
    """Nothing but faults for as long as `patience` allows."""


class JobNotFound(OutcomeUnknown):
    """The provider says 404 again and again: wrong id, wrong account, or its record is gone."""


class WaitStopped(OutcomeUnknown):
    """The `stop` event was set."""


class WaitRefused(OutcomeUnknown, ProviderError):
    """The provider refuses to tell (400, 401, 402, 403, 451). The job itself is not touched by that."""


class WaitNotSent(OutcomeUnknown, ConfigurationError):
    """This machine cannot send the question (see ConfigurationError). The job itself is not touched by that."""


class SubmitUnknown(VidpollError):
    """A submit that may have been received: no answer came, or none with an id. It is not sent again.

    `account`, `operation` and `sent` (the fields of the call) tell what it was, `reason` why nothing is known, `answer`
    (a `vidpoll.Exchange`) what came, if anything did; `ids` is what looks like an id in it, `key` that of
    `Client.submit_once`, which is in use until the submit is adopted or dismissed. Look at the provider's list or
    dashboard before you submit again.
    """

    def __init__(
        self,
        message: str = "",
        *,
        job: Any = None,
        account: str = "",
        operation: str = "",
        sent: Mapping[str, Any] | None = None,
        reason: str = "",
        answer: Any = None,
        ids: tuple[str, ...] = (),
        key: str = "",
    ) -> None:
        super().__init__(message, job=job)
        self.account = account
        self.operation = operation
        self.sent = dict(sent or {})
        self.reason = reason
        self.answer = answer
        self.ids = ids
        self.key = key

    @property
    def transcript(self) -> tuple[Any, ...]:
        """The answer to the submit, safe to show; empty where none came."""
        return () if self.answer is None else (self.answer,)


class ResultMissing(VidpollError):
    """The job is completed, but there is no asset of the kind that was asked for."""


class DownloadError(VidpollError):
    """A file could not be fetched. Nothing lies under the final name, and the job is unchanged."""


class DownloadTruncated(DownloadError):
    """The body ended before the announced length."""


class DownloadChanged(DownloadError):
    """The bytes are not those of the provider's checksum, or the file changed while it was read (`Client.open`)."""


class DownloadTooLarge(DownloadError):
    """The body is larger than `max_bytes`."""


class UnsafeURL(DownloadError):
    """A URL that is not fetched: wrong scheme, https turned into http, or user data in it."""


class NotAVideo(DownloadError):
    """The bytes are not those of the kind of file that was promised (an HTML page, say)."""
