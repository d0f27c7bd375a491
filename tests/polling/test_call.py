"""One request and what its parser reads: when an answer without a body is believed."""

from __future__ import annotations

from typing import Any

import pytest
from acme_provider import ACME, job_request

import vidpoll
from vidpoll.net.accounts import Account, OpenAccount
from vidpoll.polling.call import Call

ACCOUNT = OpenAccount("acme", Account("acme", key=None), ACME, {})
EMPTY = [200, 201, 203, 205, 206, 299]


def taken(status: int, body: bytes = b"", **options: Any) -> Any:
    """What a parser that looks at nothing makes of an answer."""
    operation: vidpoll.Operation[str] = vidpoll.Operation(
        job_request("DELETE"), lambda answer, job_id: "done", **options
    )
    call = Call(ACCOUNT, operation, vidpoll.Request("DELETE", "/jobs/1"), "1")
    return call.take(vidpoll.Response(status, {}, body), 0.0)


@pytest.mark.parametrize("status", EMPTY)
def test_an_empty_body_is_not_believed(status: int) -> None:
    """A parser that ignores the body must not take an answer that lost its body for a success."""
    with pytest.raises(vidpoll.Malformed, match=f"HTTP {status}: an empty body"):
        taken(status)
    assert taken(status, b"{}") == "done"


@pytest.mark.parametrize("status", EMPTY)
def test_an_operation_may_say_that_an_empty_body_is_good(status: int) -> None:
    """By `empty_ok`."""
    assert taken(status, empty_ok=True) == "done"


@pytest.mark.parametrize("status", [202, 204])
def test_accepted_and_no_content_need_no_body(status: int) -> None:
    """The status says what happened: a 202 without a body is how one provider says that a job runs."""
    assert taken(status) == "done"


def test_a_verdict_without_a_body_is_the_parsers() -> None:
    """An operation that asks to see a 500 sees an empty one too."""
    assert taken(500, verdicts=(500,)) == "done"


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_empty_ok_is_true_or_false(value: Any) -> None:
    """Anything else is a mistake of the plugin's author."""
    with pytest.raises(vidpoll.PluginError, match="empty_ok"):
        vidpoll.Operation(job_request("DELETE"), lambda answer, job_id: None, empty_ok=value)
