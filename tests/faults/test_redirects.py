"""Redirects: the key never leaves its origin, nothing falls back to http, and nothing goes round for ever.

Real sockets; another port is another origin. The certificate of `chaos` is trusted here, so https is real as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from acme_provider import Plugin
from provider_cases import CASES, KEY, Case, client_of, each_provider, quick, raw, real_client
from raw_server import SELF_SIGNED, Act, Chaos, answers, chaos, says

import vidpoll

pytestmark = pytest.mark.usefixtures("transport")

STATUSES = [301, 302, 303, 307, 308]


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and the chaos server's certificate counts."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(SELF_SIGNED))


@pytest.fixture
def abroad() -> Iterator[Chaos]:
    """Another origin, which would gladly answer."""
    with chaos(answers({})) as server:
        yield server


def to(target: str, status: int = 302) -> Act:
    return says(f"HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))


def wait(case: Case, url: str, **options: Any) -> tuple[vidpoll.Job, list[str]]:
    """The job, and the reasons of what was borne."""
    events: list[vidpoll.Event] = []
    options.setdefault("timeout", 20)
    timeout = options.pop("timeout")
    with real_client(case, url, bound=2.0, **options) as client:
        job = client.wait(case.ref, timeout=timeout, on_event=events.append, check=False)
    return job, [event.reason for event in events if isinstance(event, vidpoll.PollFailed)]


def with_key(server: Chaos) -> list[bool]:
    """For each request that came: did the key come with it?"""
    return [KEY in head for head in server.heads]


@each_provider
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("whole", [False, True], ids=["by path", "by URL"])
def test_within_the_origin_it_is_followed_with_the_key(case: Case, status: int, whole: bool) -> None:
    """Same scheme, host and port."""
    with chaos(answers(case.completed)) as server:
        server.script = [to(f"{server.url if whole else ''}/elsewhere", status), answers(case.completed)]
        job, borne = wait(case, server.url)
    assert (job.ok, borne, with_key(server)) == (True, [], [True, True])


@each_provider
@pytest.mark.parametrize("status", STATUSES)
def test_to_another_origin_it_is_followed_without_the_key(case: Case, status: int, abroad: Chaos) -> None:
    """Nor with whatever else the plugin puts into its headers."""
    abroad.script = [answers(case.completed)]
    provider = replace(quick(case.provider), headers={"X-Session": "session-1", "Accept": "application/json"})
    with chaos(to(f"{abroad.url}/landing", status)) as server:
        job, borne = wait(case, server.url, plugins=[Plugin(provider)])
    assert (job.ok, borne, with_key(server), with_key(abroad)) == (True, [], [True], [False])
    assert "session-1" in server.heads[0]
    assert "session-1" not in abroad.heads[0]
    assert "authorization" not in abroad.heads[0].lower()
    assert "Accept: application/json" in abroad.heads[0]


@pytest.mark.parametrize(
    "auth",
    [
        vidpoll.Bearer("ACME_KEY"),
        vidpoll.KeyHeader("X-Api-Key", "ACME_KEY"),
        vidpoll.KeyHeader("Ocp-Apim-Subscription-Key", "ACME_KEY", "Key "),
        vidpoll.Basic("ACME_KEY", "ACME_PASSWORD"),
        vidpoll.Minted(("ACME_KEY",), lambda request, secrets: {"X-Signature": f"signed-{secrets['ACME_KEY']}"}),
    ],
    ids=["Bearer", "a custom header", "a custom header with a prefix", "Basic", "Minted"],
)
def test_no_kind_of_key_goes_abroad(auth: Any, abroad: Chaos) -> None:
    """Whatever its header is called."""
    case = CASES[0]
    abroad.script = [answers(case.completed)]
    keys = {"ACME_KEY": KEY, "ACME_PASSWORD": "passw0rd-0123456789"}
    provider = replace(quick(case.provider), auth=auth)
    with chaos(to(f"{abroad.url}/")) as server:
        home = {name: keys[name] for name in auth.variables}
        assert wait(case, server.url, plugins=[Plugin(provider)], key=home)[0].ok
    added = {line.partition(":")[0] for line in server.heads[0].split("\r\n")[1:]}
    assert len(added) == 1 + len({line.partition(":")[0] for line in abroad.heads[0].split("\r\n")[1:]})
    assert KEY not in abroad.heads[0]


@each_provider
def test_away_and_home_again(case: Case, abroad: Chaos) -> None:
    """Each hop is judged for itself."""
    with chaos(to(f"{abroad.url}/a"), answers(case.completed)) as server:
        abroad.script = [to(f"{server.url}/b")]
        assert wait(case, server.url)[0].ok
    assert (with_key(server), with_key(abroad)) == ([True, True], [False])


@each_provider
def test_a_loop_costs_one_try(case: Case) -> None:
    """Six requests, then it is a fault like others."""
    with chaos(*[to("/round")] * 6, answers(case.completed)) as server:
        job, borne = wait(case, server.url)
    assert (job.ok, borne, len(server.heads)) == (True, ["more than 5 redirects"], 7)


@each_provider
def test_a_loop_without_end_is_an_unknown_outcome(case: Case) -> None:
    """The deadline bounds it."""
    with chaos(to("/round")) as server:
        job, borne = wait(case, server.url, timeout=0.2)
    assert isinstance(job.error, vidpoll.WaitTimeout)
    assert set(borne) == {"more than 5 redirects"}


@each_provider
def test_https_never_falls_to_http(case: Case, abroad: Chaos) -> None:
    """Not even without the key; the plain server is not asked."""
    abroad.script = [answers(case.completed)]
    with chaos(to(f"{abroad.url}/"), answers(case.completed), tls=True) as server:
        job, borne = wait(case, server.url)
    assert (job.ok, with_key(server), abroad.heads) == (True, [True, True], [])
    assert borne == ["a redirect from https to http, which is not followed"]


@each_provider
def test_http_to_https_is_followed_without_the_key(case: Case) -> None:
    """Another scheme is another origin: who moved to https says so in the base URL."""
    with chaos(answers(case.completed), tls=True) as safe, chaos(to(f"{safe.url}/")) as server:
        assert wait(case, server.url)[0].ok
    assert (with_key(server), with_key(safe)) == ([True], [False])


TARGETS = [
    "ftp://127.0.0.1/x",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:application/json,{}",
    "gopher://127.0.0.1:9/_x",
    "unix:///run/x.sock",
    "https://user:password@127.0.0.1/",
    "http://127.0.0.1\\@evil.example/",
    "https://[broken",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:port/",
    "",
]


@each_provider
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target or "nowhere")
def test_to_another_scheme_or_to_nowhere_it_is_not_followed(target: str, case: Case) -> None:
    """One try is lost."""
    with chaos(to(target), answers(case.completed)) as server:
        job, borne = wait(case, server.url)
    assert job.ok
    assert len(borne) == 1
    assert "redirect" in borne[0]
    assert "password" not in borne[0]


@each_provider
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_submit_is_never_sent_to_where_a_redirect_points(case: Case, status: int, abroad: Chaos) -> None:
    """Nothing was done, and the target is named. Nobody else is asked."""
    kind, fields = case.submit
    with chaos(to(f"{abroad.url}/", status)) as server, real_client(case, server.url, bound=2.0) as client:
        with pytest.raises(vidpoll.ProviderError, match="Nothing was bought") as caught:
            client.submit(case.name, kind, **fields)
    assert f"it redirects to {abroad.url}/" in str(caught.value)
    assert (len(server.heads), abroad.heads) == (1, [])


@each_provider
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_submit_that_is_redirected_names_the_base_url(case: Case, status: int) -> None:
    """The address has moved: what the message says to set works."""
    kind, fields = case.submit
    with chaos(answers(case.accepted)) as there:
        path = case.provider.submit[kind].request(fields).path
        with chaos(to(f"{there.url}/new{path}", status)) as server, real_client(case, server.url, bound=2.0) as client:
            with pytest.raises(vidpoll.ProviderError) as caught:
                client.submit(case.name, kind, **fields)
        base = str(caught.value).rpartition(" to ")[2]
        assert base == f"{there.url}/new"
        with real_client(case, base, bound=2.0) as client:
            assert client.submit(case.name, kind, **fields).id == case.job_id


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_submit_whose_redirect_names_what_was_made_is_unknown(status: int) -> None:
    """POST /videos, 303 to /videos/ID: the job may be there (RFC 9110, 15.4.4), and its id is told."""
    case = CASES[1]
    kind, fields = case.submit
    told = client_of(case, [raw(b"", status=status, headers={"location": "/v1/videos/vt_9?x=1"}), case.completed])
    with pytest.raises(vidpoll.SubmitUnknown) as caught:
        told.client.submit(case.name, kind, **fields)
    assert caught.value.ids == ("vt_9",)
    assert "`vidpoll wait token360:vt_9`" in str(caught.value)


@pytest.mark.parametrize("case", [case for case in CASES if case.deletes], ids=lambda case: case.name)
def test_a_delete_is_never_sent_to_where_a_redirect_points(case: Case, abroad: Chaos) -> None:
    """It is sent again where it belongs."""
    done = answers({"deleted": True, "id": case.job_id})
    with chaos(to(f"{abroad.url}/"), done) as server, real_client(case, server.url, bound=2.0) as client:
        client.delete(case.ref)
    assert (with_key(server), abroad.heads) == ([True, True], [])
