"""Every error of vidpoll, split by who must act. Only errors live here; at run time this imports nothing of vidpoll.

VidpollError
├── UsageError               you: the call is wrong; nothing was sent
│   ├── BadReference         not a valid reference, or not a valid id
│   ├── UnknownProvider      no installed plugin has that name
│   ├── MissingKey           the key's environment variable is not set
│   ├── InvalidField         a submit or list field that the provider does not accept
│   ├── BatchInvalid         a batch has rows that cannot be sent; `.problems` lists all problems
│   └── Unsupported          the provider has no such operation
├── ConfigurationError       you: this machine (a proxy, certificates, threads); nothing was sent; the message says what
├── StoreError               you: the store cannot be used; the message says why, and the way out
├── PluginError              the plugin's author: the plugin does not load, does not validate or breaks its contract
├── AnswerError              no one yet: one response says nothing about the job; a wait tolerates it and polls again
│   ├── Malformed            not JSON, or not of the documented shape
│   ├── UnknownStatus        a status word that the plugin does not list
│   ├── ForeignAnswer        a response about another job
│   ├── BadSignature         a pushed body that is not from the provider, or is too old
│   └── TransitionRefused    a response that contradicts a final state
├── ProviderError            you or the provider: a refusal with status, code, message, details, request id
│   ├── AuthenticationError  401   ├── NotFound     404 410    ├── RateLimited  429
│   ├── PermissionDenied     403   ├── Conflict     409        └── ServerError  5xx, and every other status
│   ├── PaymentRequired      402   └── InvalidRequest 400 413 422
├── Refused                  raised by a parser, never by vidpoll: a 200 that is really a refusal
├── JobError                 the provider ended the job without a result; `.job.problem` says why
│   ├── JobFailed
│   ├── JobCancelled
│   └── JobExpired
├── OutcomeUnknown           the outcome is unknown: the job continues at the provider; `.resume` resumes the wait
│   ├── WaitTimeout          the deadline came before a verdict
│   ├── ProviderUnreachable  nothing but faults for `patience` seconds
│   ├── JobNotFound          the provider says, several times, that it has no such job
│   ├── WaitStopped          `stop` was set, or the client was closed
│   ├── WaitRefused          400 401 402 403 451 in a wait (also a ProviderError)
│   └── WaitNotSent          this machine cannot send the status request (also a ConfigurationError)
├── SubmitUnknown            a submit that may have been received; it is never sent twice; `.sent` has its fields
├── ResultMissing            a completed job without the requested asset
└── DownloadError            a file could not be saved; no partial file lies under its name
    ├── DownloadTruncated    fewer bytes than announced
    ├── DownloadChanged      the bytes differ from the checksum, or from those read before
    ├── DownloadTooLarge     more bytes than allowed
    ├── UnsafeURL            not http or https, https turned http, or user data in the URL
    └── NotAVideo            the bytes are not a file of the expected type

WaitTimeout is also Python's own TimeoutError, which is an OSError: `except TimeoutError` and `except OSError` catch it.

Every error takes one message and optional keyword arguments, so that it can be pickled. `job` is the `vidpoll.Job` that
the error is about, or None. Every JobError and OutcomeUnknown that vidpoll raises has its job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import Job
    from .model import Exchange


class VidpollError(Exception):
    """The base class of all errors of vidpoll. `job` is the Job that the error is about, or None."""

    def __init__(self, message: str = "", *, job: Job | None = None) -> None:
        super().__init__(message)
        self.job = job

    @property
    def transcript(self) -> tuple[Exchange, ...]:
        """The last responses about the job (`vidpoll.Exchange`), oldest first, safe to show; empty without a job."""
        return () if self.job is None else self.job.transcript

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
    """A batch has rows that cannot be sent. The message has a line for each problem. Nothing was sent.

    `problems` has every problem, with `place` ("row 7"), `column` ("" for the whole row) and `message`.
    """

    def __init__(self, message: str = "", *, job: Job | None = None, problems: tuple[Any, ...] = ()) -> None:
        super().__init__(message, job=job)
        self.problems = problems


class Unsupported(UsageError):
    """The provider has no such operation."""


class ConfigurationError(VidpollError):
    """This machine cannot send the request. Nothing was sent, and trying again would not help.

    For example: an unusable proxy, a missing CA file, no free thread. The message names the variable that sets it.
    """


class StoreError(VidpollError):
    """The store cannot be read or written: damaged, read-only, locked, on a full disk, or from a newer vidpoll."""


class PluginError(VidpollError):
    """A plugin does not load, does not validate, or breaks its contract."""


class AnswerError(VidpollError):
    """A response that says nothing about the job. A wait tolerates it and polls again."""


class Malformed(AnswerError):
    """A response that is not JSON or not of the documented shape.

    `wordless` is True if only the status word is missing: a wait continues if such a response names the job.
    """

    def __init__(self, message: str = "", *, job: Job | None = None, wordless: bool = False) -> None:
        super().__init__(message, job=job)
        self.wordless = wordless


class UnknownStatus(AnswerError):
    """A status word that the plugin does not list.

    `word` is the word as text. In a wait it becomes the stage, and the state stays.
    """

    def __init__(self, message: str = "", *, job: Job | None = None, word: str = "") -> None:
        super().__init__(message, job=job)
        self.word = word


class ForeignAnswer(AnswerError):
    """A response that names a different job than the polled one. Its content is never used.

    `named` is the id in the response; empty if unknown.
    """

    def __init__(self, message: str = "", *, job: Job | None = None, named: str = "") -> None:
        super().__init__(message, job=job)
        self.named = named


class BadSignature(AnswerError):
    """A pushed body whose signature is wrong or too old, so it may not come from the provider. Do not use the body."""


class TransitionRefused(AnswerError):
    """A response that would move a job out of a final state. The job is unchanged."""


class ProviderError(VidpollError):
    """The provider refused, or gave no response.

    `status` is the HTTP status; `code`, `details` and `request_id` are the provider's own. Each is None or empty if
    unknown. `category` is the class of failure, a key of `CATEGORIES`; None if neither code nor status shows it.
    `charged`: whether the provider keeps money for what it refused; None if unknown.
    """

    def __init__(
        self,
        message: str = "",
        *,
        job: Job | None = None,
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
    """402: the balance is too low. Nothing was bought."""


class InvalidRequest(ProviderError):
    """400, 413 or 422: the provider, or its moderation, does not accept the request."""


class NotFound(ProviderError):
    """404, 410: the provider does not have it, or no longer has it."""


class Conflict(ProviderError):
    """409: not possible in the job's present state."""


class RateLimited(ProviderError):
    """429: too many requests, too many jobs at once, or a used-up quota; `category` says which."""


class ServerError(ProviderError):
    """5xx, no response at all, or a status that fits nowhere else."""


CATEGORIES: dict[str, type[ProviderError]] = {
    "capacity": RateLimited,  # too many jobs at once for the account or the provider
    "rate": RateLimited,  # too many requests in a short time
    "quota": RateLimited,  # the allowance of a day or a month is used up
    "money": PaymentRequired,
    "auth": AuthenticationError,  # with HTTP 403: PermissionDenied
    "input": InvalidRequest,
    "moderated_input": InvalidRequest,  # the input is not allowed
    "moderated_output": InvalidRequest,  # the result is withheld
    "internal": ServerError,
    "expired": NotFound,
}
"""The classes of failure, which show what to do next, each with the error that such a refusal raises."""

KINDS: dict[str, type[ProviderError]] = {
    **CATEGORIES,
    "permission": PermissionDenied,
    "not found": NotFound,
    "conflict": Conflict,
    "unknown": ServerError,
}
"""The kinds of refusal: the classes of failure, and four more."""


class Refused(VidpollError):
    """Raised by a parser, never by vidpoll: a 200 that is really a refusal.

    `kind` is a key of `KINDS`: a class of failure ("money", say), "permission", "not found", "conflict" or "unknown".
    vidpoll then treats the response like the HTTP status of that kind. Raises PluginError for any other kind.
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
    """The provider ended the job without a result. `job` is never None in an error that vidpoll raises."""

    job: Job


class JobFailed(JobError):
    """The provider says that the job failed."""


class JobCancelled(JobError):
    """The provider says that the job was cancelled."""


class JobExpired(JobError):
    """The provider says that the job or its record is gone (by a status word or HTTP 410)."""


class OutcomeUnknown(VidpollError):
    """vidpoll stopped polling; the job continues at the provider and may still complete.

    `resume` is the line of Python that resumes the wait for the same job. Waiting again costs nothing; submitting again
    would pay twice. `job` and `resume` are never None in an error that vidpoll raises.
    """

    job: Job
    resume: str

    def __init__(self, message: str = "", *, job: Job | None = None, resume: str | None = None, **fields: Any) -> None:
        super().__init__(message, job=job, **fields)
        self.resume = resume or (None if job is None else job.resume())  # type: ignore[assignment]


class WaitTimeout(OutcomeUnknown, TimeoutError):
    """The deadline came before a verdict. Also a TimeoutError of Python, so `except OSError` catches it."""


class ProviderUnreachable(OutcomeUnknown):
    """Polling brought nothing but faults for `patience` seconds."""


class JobNotFound(OutcomeUnknown):
    """The provider keeps responding 404: the id or the account is wrong, or the job's record is gone."""


class WaitStopped(OutcomeUnknown):
    """The `stop` event was set, or another thread closed the client."""


class WaitRefused(OutcomeUnknown, ProviderError):
    """The provider refused the status request (400, 401, 402, 403, 451). The job itself is not affected."""


class WaitNotSent(OutcomeUnknown, ConfigurationError):
    """This machine cannot send the status request (see ConfigurationError). The job itself is not affected."""


class SubmitUnknown(VidpollError):
    """A submit that may have been received: no response came, or one without an id. It is not sent again.

    Check the provider's list or dashboard before you submit again. `account`, `operation` and `sent` (the fields) are
    those of the call, and `reason` is why the outcome is unknown. `answer` is the response (a `vidpoll.Exchange`) or
    None, and `ids` are the values in it that look like ids. `key` is that of `Client.submit_once`; it stays in use
    until you adopt or dismiss the submit.
    """

    def __init__(
        self,
        message: str = "",
        *,
        job: Job | None = None,
        account: str = "",
        operation: str = "",
        sent: Mapping[str, Any] | None = None,
        reason: str = "",
        answer: Exchange | None = None,
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
    def transcript(self) -> tuple[Exchange, ...]:
        """The response to the submit, safe to show; empty if none came."""
        return () if self.answer is None else (self.answer,)


class ResultMissing(VidpollError):
    """The job is completed but has no asset of the requested kind."""


class DownloadError(VidpollError):
    """A file could not be downloaded. No file lies under the final name, and the job is unchanged."""


class DownloadTruncated(DownloadError):
    """The body ended before the announced length."""


class DownloadChanged(DownloadError):
    """The bytes do not match the provider's checksum, or the file changed while it was read (`Client.open`)."""


class DownloadTooLarge(DownloadError):
    """The body is larger than `max_bytes`."""


class UnsafeURL(DownloadError):
    """A URL that vidpoll does not fetch: a wrong scheme, https turned into http, or user data in the URL."""


class NotAVideo(DownloadError):
    """The bytes are not a file of the expected type (an HTML page, say)."""
