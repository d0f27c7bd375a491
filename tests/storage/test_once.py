"""`submit_once`: a key is one job, in every process that shares the store, whatever died in between."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, REF, UNAVAILABLE, Talk, parse_submit, talk
from kept_jobs import NOW, RESET, SUBMITTED, dead, kept, sql

import vidpoll
from vidpoll.storage.once import HONOURED, LOOK, Submit, send
from vidpoll.storage.sqlite import SqliteStore

KEY = "order-42"


def once(t: Talk, key: str = KEY, kind: str = "clip", **fields: Any) -> vidpoll.Job:
    return t.client.submit_once("acme", kind, key, **{"prompt": "a lighthouse", **fields})


def unknown(t: Talk, key: str = KEY) -> vidpoll.SubmitUnknown:
    with pytest.raises(vidpoll.SubmitUnknown) as caught:
        once(t, key)
    assert caught.value.key == key
    return caught.value


# -- the same key is the same job -------------------------------------------------------------------------------------


def test_the_same_key_is_the_same_job(path: Path) -> None:
    """In this client and in the next one, before and after its verdict: one POST."""
    t = talk([SUBMITTED, DONE], store=path)
    first = once(t)
    assert (first.ref, first.key, once(t).ref) == (REF, KEY, REF)
    t.client.wait(first)
    t.client.close()
    u = talk([BROKEN], store=path)
    again = once(u)
    assert (again.ref, again.key, again.ok) == (REF, KEY, True)
    assert (t.requests, u.requests) == (["POST /v1/jobs", "GET /v1/jobs/j1"], [])


def test_the_key_stands_in_the_record(path: Path) -> None:
    """Of the job and of the submit; a job without one has none."""
    t = talk([SUBMITTED, RESET, {"id": "j2"}], store=path)
    once(t)
    unknown(t, "order-43")
    t.client.submit("acme", "clip", prompt="x")
    assert [(row.ref, row.key, row.job.key) for row in t.client.store.jobs()] == [
        (REF, KEY, KEY),
        ("acme:j2", "", ""),
    ]
    assert [each.key for each in t.client.store.unknown_submits()] == ["order-43"]


def test_a_key_is_its_accounts_own(path: Path) -> None:
    """Another account, and another key, are other jobs."""
    accounts = {name: vidpoll.Account("acme", key="k" * 20) for name in ("acme", "acme2")}
    t = talk([{"id": "j1"}, {"id": "j2"}, {"id": "j3"}], store=path, accounts=accounts)
    jobs = [once(t), once(t, "order-43"), t.client.submit_once("acme2", "clip", KEY, prompt="a lighthouse")]
    assert [job.ref for job in jobs] == ["acme:j1", "acme:j2", "acme2:j3"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prompt": "a lake"}, "prompt was 'a lighthouse' and is now 'a lake'"),
        ({"image": b"abc"}, "image was not given and is now 'sha256:"),
        ({"image": None}, None),
    ],
)
def test_other_fields_are_named(path: Path, fields: dict[str, Any], says: str | None) -> None:
    """A key that means another video by now is a mistake, and nothing is sent."""
    t = talk([SUBMITTED], store=path)
    once(t)
    if says is None:
        assert once(t, **fields).ref == REF
    else:
        with pytest.raises(vidpoll.UsageError, match="the key 'order-42' was used with other fields") as caught:
            once(t, **fields)
        assert says in str(caught.value)
    assert len(t.requests) == 1


def test_long_texts_that_differ_at_their_end_are_told_apart(path: Path) -> None:
    """Of a long prompt the store keeps the beginning, and a hash."""
    t = talk([SUBMITTED], store=path)
    once(t, prompt="a" * 900)
    assert once(t, prompt="a" * 900).ref == REF
    with pytest.raises(vidpoll.UsageError, match="prompt was"):
        once(t, prompt="a" * 899 + "b")


def test_a_secret_in_a_field_is_not_in_the_message(path: Path) -> None:
    """What differs is shown as it is kept."""
    t = talk([SUBMITTED], store=path, provider=replace(ACME, submit={"clip": ANY}), accounts={"acme": ACCOUNT})
    once(t, api_key="sk-0123456789abcdef")
    with pytest.raises(vidpoll.UsageError) as caught:
        once(t, prompt="Bearer sk-0123456789abcdef", api_key="sk-999")
    assert "sk-" not in str(caught.value)


ACCOUNT = vidpoll.Account("acme", key="k" * 20)
ANY = vidpoll.Operation(
    lambda fields: vidpoll.Request("POST", "/jobs", json={name: str(value) for name, value in fields.items()}),
    parse_submit,
)


def test_another_kind_is_another_job(path: Path) -> None:
    """The key says which job, and that is one of its kind."""
    t = talk(
        [SUBMITTED], store=path, provider=replace(ACME, submit={"clip": ANY, "still": ANY}), accounts={"acme": ACCOUNT}
    )
    once(t)
    with pytest.raises(vidpoll.UsageError, match="acme still: the key 'order-42' was used for clip"):
        once(t, kind="still")


@pytest.mark.parametrize("key", ["", " ", "a\nb", "x" * 201, "\x1b[31m", 7, None, "batch:night/a/1"])
def test_what_is_no_key(path: Path, key: Any) -> None:
    """Nothing is sent."""
    t = talk([SUBMITTED], store=path)
    with pytest.raises(vidpoll.UsageError, match="submit_once key"):
        t.client.submit_once("acme", "clip", key, prompt="x")
    assert t.requests == []


def test_without_a_store_nothing_is_once_only() -> None:
    """The way out is named."""
    t = talk([SUBMITTED])
    with pytest.raises(vidpoll.UsageError, match=r"Client\(store=…\)"):
        once(t)
    assert t.requests == []


# -- what went wrong before -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 402, 422, 429])
def test_a_refusal_frees_the_key(path: Path, status: int) -> None:
    """Nothing was bought."""
    t = talk([(status, {"error": "no"}), SUBMITTED], store=path)
    with pytest.raises(vidpoll.ProviderError):
        once(t)
    assert once(t, prompt="a lake").ref == REF


def test_a_submit_of_unknown_outcome_holds_the_key(path: Path) -> None:
    """It is sent once; the error names the key and the way out, now and when it is called again."""
    t = talk([RESET], store=path)
    messages = [str(unknown(t)), str(unknown(t))]
    assert t.requests == ["POST /v1/jobs"]
    for said in messages:
        assert "Its key 'order-42' stays in use until the submit is adopted (it became a job) or dismissed" in said
        assert f"run `vidpoll resume --store={path}`: it shows which jobs this may have become" in said
        assert f"To adopt one: `vidpoll resume --adopt=acme:ID --key=order-42 --store={path}`" in said
    [submission] = t.client.store.unknown_submits()
    t.client.store.dismiss(submission)
    t.wire._scripts[""] = [SUBMITTED]
    assert once(t).ref == REF


def test_an_adopted_submit_is_the_job_of_its_key(path: Path) -> None:
    """The next call of that key is it."""
    t = talk([RESET], store=path)
    unknown(t)
    t.client.store.adopt(REF, t.client.store.unknown_submits()[0])
    assert (once(t).ref, kept(t).key, len(t.requests)) == (REF, KEY, 1)


def test_a_job_of_one_key_is_not_adopted_for_another(path: Path) -> None:
    """Else the second key would be free, and bought again."""
    t = talk([SUBMITTED, RESET], store=path)
    once(t, prompt="a lake")
    unknown(t, "order-43")
    with pytest.raises(vidpoll.UsageError, match="acme:j1 has the key 'order-42' and other fields"):
        t.client.store.adopt(REF, t.client.store.unknown_submits()[0])
    unknown(t, "order-43")


def test_a_submit_without_a_response_that_the_provider_has_merged_is_adopted(path: Path) -> None:
    """Both keys are the one job: nothing is bought again."""
    t = talk([SUBMITTED, RESET, DONE], store=path)
    t.client.wait(once(t))
    unknown(t, "order-43")
    assert t.client.store.adopt(REF, t.client.store.unknown_submits()[0]).key == "order-43"
    found = [once(t, key) for key in (KEY, "order-43")]
    assert [(job.ref, job.key, job.ok) for job in found] == [(REF, KEY, True), (REF, "order-43", True)]
    assert (t.client.store.unknown_submits(), t.requests.count("POST /v1/jobs")) == ([], 2)


def test_a_process_that_died_in_the_middle_leaves_it_unknown(path: Path) -> None:
    """Whoever comes next neither waits nor sends."""
    t = talk([], store=path)
    store = SqliteStore(path, t.clock.time)
    store.begin(vidpoll.Origin("acme"), "clip", {"prompt": "a lighthouse"}, key=KEY)
    sql(path, "UPDATE submits SET owner = ?", dead(store))
    assert unknown(t).reason == "the process ended before a response came"
    assert (t.requests, t.clock.waits) == ([], [])


def test_a_submit_of_another_process_is_waited_for(path: Path) -> None:
    """Its answer is the job."""
    t = talk([], store=path)
    store = SqliteStore(path, t.clock.time)
    number = store.begin(vidpoll.Origin("acme"), "clip", {"prompt": "a lighthouse"}, key=KEY)
    get = t.clock.get

    def look(*args: Any, **options: Any) -> Any:
        if len(t.clock.waits) == 3:
            store.submitted(
                number, vidpoll.KeptJob(REF, vidpoll.Origin("acme"), "clip", {"prompt": "a lighthouse"}, key=KEY)
            )
        return get(*args, **options)

    t.clock.get = look  # type: ignore[assignment]
    assert once(t).ref == REF
    assert (t.requests, t.clock.waits) == ([], [LOOK] * 4)


def test_a_submit_of_another_process_is_waited_for_as_long_as_a_request_may_take(path: Path) -> None:
    """Then its outcome is unknown here; the key stays that of the other one."""
    t = talk([], store=path, http_timeout=(2.0, 5.0))
    SqliteStore(path, t.clock.time).begin(vidpoll.Origin("acme"), "clip", {"prompt": "a lighthouse"}, key=KEY)
    error = unknown(t)
    assert error.reason == "another process is still submitting it"
    assert t.clock.now == NOW + 7
    assert t.client.store.unknown_submits() == []


def test_two_threads_buy_one(path: Path) -> None:
    """The second one has the job of the first."""
    t = talk([SUBMITTED], store=path)
    u = talk([{"id": "j2"}], store=path)
    send, began = t.wire.send, threading.Event()
    refs: list[str] = []

    def slow(wire: Any, ticket: Any) -> Any:
        began.set()
        assert seen.wait(10)
        return send(wire, ticket)

    seen = threading.Event()
    t.client._loop.transport.send = slow
    thread = threading.Thread(target=lambda: refs.append(once(t).ref))
    thread.start()
    assert began.wait(10)
    get = u.clock.get

    def look(*args: Any, **options: Any) -> Any:
        seen.set()
        thread.join(10)
        return get(*args, **options)

    u.clock.get = look  # type: ignore[assignment]
    refs.append(once(u).ref)
    assert (refs, u.requests) == ([REF, REF], [])


FULL = "CREATE TRIGGER no_room BEFORE INSERT ON submits BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"


@pytest.mark.parametrize(
    ("key", "statement"), [(KEY, "UPDATE jobs SET sent = '['"), ("order-43", "DROP TABLE submits"), ("order-43", FULL)]
)
def test_a_store_that_does_not_work_sends_nothing(path: Path, key: str, statement: str) -> None:
    """What it cannot tell may be bought, and what it cannot keep would be bought again."""
    t = talk([SUBMITTED], store=path)
    once(t)
    sql(path, statement)
    with pytest.raises(vidpoll.StoreError):
        once(t, key)
    assert len(t.requests) == 1


def test_a_pruned_key_is_free_again(path: Path) -> None:
    """As the docs say: what is forgotten is not known."""
    t = talk([SUBMITTED, DONE, {"id": "j2"}], store=path)
    t.client.wait(once(t))
    assert t.client.store.prune(NOW + 1e6) == 1
    assert once(t).ref == "acme:j2"


# -- a provider that takes the caller's own key -----------------------------------------------------------------------


# -- one id for two keys ----------------------------------------------------------------------------------------------


def test_two_keys_whose_submits_the_provider_has_merged(path: Path) -> None:
    """Each is sent once, and both are the one job, before and after its verdict."""
    t = talk([SUBMITTED, SUBMITTED, DONE], store=path)
    jobs = [once(t, key) for key in ("k1", "k2", "k1", "k2")]
    assert [(job.ref, job.key) for job in jobs] == [(REF, "k1"), (REF, "k2")] * 2
    assert t.client.wait(jobs[0]).ok
    assert [(job.ok, job.key) for job in (once(t, "k1"), once(t, "k2"))] == [(True, "k1"), (True, "k2")]
    assert t.requests == ["POST /v1/jobs", "POST /v1/jobs", "GET /v1/jobs/j1"]
    assert t.ears.hooks.count("completed") == 1


@pytest.mark.parametrize("second", ["k2", ""])
def test_the_key_of_an_unfinished_job_does_not_return_the_job_that_has_its_id_now(path: Path, second: str) -> None:
    """Neither before nor after the verdict of that job; nothing is sent again."""
    t = talk([SUBMITTED, SUBMITTED, DONE], store=path)
    once(t, "k1")
    new = once(t, second, prompt="a lake") if second else t.client.submit("acme", "clip", prompt="a lake")
    for _ in range(2):
        error = unknown(t, "k1")
        assert "acme clip: the outcome of the job with the key 'k1' is unknown, because the server has given" in str(
            error
        )
        assert error.reason == "the server has given its id, acme:j1, to another job"
        assert error.sent == {"prompt": "a lighthouse"}
        assert t.client.wait(new).ok
    assert t.requests == ["POST /v1/jobs", "POST /v1/jobs", "GET /v1/jobs/j1"]
    if second:
        assert once(t, second, prompt="a lake").ok


@pytest.mark.parametrize("key", ["k1", "k2"])
def test_a_verdict_that_another_client_has_got_is_stored_for_either_key(path: Path, key: str) -> None:
    """It is known before the wait in the client with the store."""
    t = talk([SUBMITTED, SUBMITTED], store=path)
    job = {each: once(t, each) for each in ("k1", "k2")}[key]
    assert talk([DONE]).client.wait(job).ok
    assert t.client.wait(job).ok
    assert ([row.ended_at is None for row in t.client.store.jobs()], t.client.store.unfinished()) == ([False], [])


@pytest.mark.parametrize("fields", [{"prompt": "a lake"}, {}])
def test_a_verdict_of_a_former_job_is_not_that_of_the_job_that_has_its_id_now(
    path: Path, fields: dict[str, str]
) -> None:
    """With other fields it has lost its id; with equal ones it had a verdict before."""
    t = talk([SUBMITTED, SUBMITTED] if fields else [SUBMITTED, DONE, SUBMITTED], store=path)
    former = once(t, "k1")
    if not fields:
        t.client.wait(former)
    once(t, "k2", **fields)
    if fields:
        talk([DONE]).client.wait(former)
    assert t.client.wait(former).ok
    assert [(row.key, row.ended_at) for row in t.client.store.jobs()] == [("k2", None)]


@pytest.mark.parametrize("second", ["k2", ""])
def test_a_server_that_counts_anew_does_not_free_the_key_of_a_job_that_has_ended(path: Path, second: str) -> None:
    """The key is that job, with its verdict, which does not become the verdict of the job that has its id now."""
    t = talk([SUBMITTED, DONE, SUBMITTED, BROKEN], store=path)
    t.client.wait(once(t, "k1"))
    new = once(t, second, prompt="a lake") if second else t.client.submit("acme", "clip", prompt="a lake")
    u = talk([], store=path)
    for client in (t.client, u.client):
        former = client.submit_once("acme", "clip", "k1", prompt="a lighthouse")
        assert (former.ref, former.ok, client.wait(former).ok) == (REF, True, True)
    assert [(job.ref, job.key) for job in t.client.store.unfinished()] == [(REF, second)]
    assert not t.client.wait(new, check=False).ok
    assert once(t, "k1").ok
    if second:
        assert once(t, second, prompt="a lake").final
    assert u.requests == []


def own(honours: bool) -> vidpoll.Provider:
    return replace(ACME, submit={"clip": replace(ANY, key="own_id", honours_key=honours)})


def bodies(t: Talk) -> list[Any]:
    return [json.loads(wire.body or b"{}").get("own_id") for wire in t.wire.sent if wire.method == "POST"]


def talk_own(script: Any, path: Path, *, honours: bool) -> Talk:
    return talk(script, store=path, provider=own(honours), accounts={"acme": ACCOUNT})


def test_the_own_id_is_the_same_wherever_it_is_made(path: Path) -> None:
    """A UUID of account, key, kind and fields; one that is given is left alone."""
    t = talk_own([SUBMITTED, {"id": "j2"}, {"id": "j3"}, {"id": "j4"}], path, honours=False)
    once(t)
    once(t, "order-43")
    once(t, "order-44", own_id="mine")
    t.client.store.drop(REF)
    once(t)
    first, second, given, again = bodies(t)
    assert (first == again, first != second, given) == (True, True, "mine")
    assert str(uuid.UUID(first)) == first
    assert once(t).ref == "acme:j4"


def test_a_plain_submit_has_no_own_id(path: Path) -> None:
    """The caller said nothing of a key."""
    t = talk_own([SUBMITTED], path, honours=True)
    t.client.submit("acme", "clip", prompt="x")
    assert bodies(t) == [None]


def test_an_honoured_key_is_sent_again(path: Path) -> None:
    """Where no answer came, the same submit is the same job."""
    t = talk_own([RESET, UNAVAILABLE, SUBMITTED], path, honours=True)
    assert once(t).ref == REF
    assert len(bodies(t)) == 3
    assert len(set(bodies(t))) == 1


def test_what_has_no_own_id_is_not_sent_twice(path: Path) -> None:
    """Whoever made the submit has left it out: the provider would buy two."""
    t = talk_own([RESET, SUBMITTED], path, honours=True)
    state = t.client._state("acme")
    with pytest.raises(vidpoll.SubmitUnknown):
        send(t.client._keeper, t.client._loop, Submit(state, "clip", {"prompt": "x"}, KEY))
    assert len(t.requests) == 1


def test_an_id_that_is_only_told_again_is_not_sent_twice(path: Path) -> None:
    """The provider would make two jobs of it."""
    t = talk_own([RESET, SUBMITTED], path, honours=False)
    unknown(t)
    unknown(t)
    assert len(t.requests) == 1


def test_a_plain_submit_is_not_sent_twice_where_keys_are_honoured(path: Path) -> None:
    """It has none."""
    t = talk_own([RESET, SUBMITTED], path, honours=True)
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="x")
    assert len(t.requests) == 1


@pytest.mark.parametrize(
    "refusal", [(409, {"error": "pending"}), (402, {"error": "no credits"}), (422, {"error": "no"})]
)
def test_a_refusal_after_a_lost_answer_proves_nothing(path: Path, refusal: Any) -> None:
    """The first try may have been received, and is what the second one met."""
    t = talk_own([RESET, refusal], path, honours=True)
    unknown(t)
    assert [each.key for each in t.client.store.unknown_submits()] == [KEY]


@pytest.mark.parametrize("status", [400, 402, 422, 429])
def test_a_refusal_of_an_honoured_key_is_told_at_once(path: Path, status: int) -> None:
    """Nothing was bought, and a full queue is whoever's to wait for that submits."""
    t = talk_own([(status, {"error": "no"}), SUBMITTED], path, honours=True)
    with pytest.raises(vidpoll.ProviderError):
        once(t)
    assert (len(t.requests), t.clock.waits) == (1, [])
    assert once(t).ref == REF


def test_the_next_process_sends_an_honoured_key_again(path: Path) -> None:
    """The one before has died in the middle; the id is the same."""
    t = talk_own([ConnectionResetError()], path, honours=True)
    t.client._loop.context.patience = 1.0
    unknown(t)
    u = talk_own([SUBMITTED], path, honours=True)
    assert once(u).ref == REF
    assert set(bodies(t)) == set(bodies(u))
    assert u.client.store.unknown_submits() == []


def test_what_the_next_process_meets_does_not_free_the_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key of the account says nothing of what was received before."""
    t = talk_own([RESET], path, honours=True)
    t.client._loop.context.patience = 1.0
    unknown(t)
    u = talk_own([(401, {"error": "no"})], path, honours=True)
    unknown(u)

    def no_way(*args: Any, **options: Any) -> Any:
        raise vidpoll.UsageError("no such way")

    monkeypatch.setattr("vidpoll.net.accounts.OpenAccount.wire", no_way)
    with pytest.raises(vidpoll.UsageError, match="no such way"):
        once(u)
    [left] = u.client.store.unknown_submits()
    assert (left.key, left.reason) == (KEY, 'HTTP 401: no; the response is {"error": "no"}')


@pytest.mark.parametrize(("later", "sends"), [(HONOURED - 10, 1), (HONOURED + 10, 0), (-10.0, 0), (-360_000.0, 0)])
def test_an_honoured_key_is_not_relied_on_for_ever(path: Path, later: float, sends: int) -> None:
    """A provider forgets keys, and would buy again; after a clock was set back, the age of the try is unknown."""
    t = talk_own([RESET], path, honours=True)
    t.client._loop.context.patience = 1.0
    unknown(t)
    u = talk_own([SUBMITTED], path, honours=True)
    u.clock.now += later
    if sends:
        assert once(u).ref == REF
    else:
        unknown(u)
    assert len(u.requests) == sends


def test_the_stores_time_decides_whether_a_key_is_honoured(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dates the submit; this host's clock may differ from that of the store's server."""
    t = talk_own([RESET], path, honours=True)
    t.client._loop.context.patience = 1.0
    unknown(t)
    u = talk_own([SUBMITTED], path, honours=True)
    monkeypatch.setattr(u.client._keeper.store, "now", lambda: NOW + HONOURED + 100)  # type: ignore[union-attr]
    unknown(u)
    assert u.requests == []


def test_an_earlier_submit_without_the_id_is_not_sent_again(path: Path) -> None:
    """A plugin that has learnt to send it does not know the one before."""
    t = talk([RESET], store=path)
    unknown(t)
    u = talk_own([SUBMITTED], path, honours=True)
    unknown(u)
    assert u.requests == []


def test_hashes_of_files_are_part_of_the_id(tmp_path: Path) -> None:
    """Another picture under one name is another job."""
    seen = []
    for number, content in enumerate([b"one", b"two", b"one"]):
        (tmp_path / "a.png").write_bytes(content)
        t = talk_own([SUBMITTED], tmp_path / f"{number}.sqlite3", honours=False)
        once(t, image=tmp_path / "a.png")
        seen += bodies(t)
    assert (seen[0] == seen[2], seen[0] == seen[1]) == (True, False)


# -- a provider that tells of a job by the caller's own id ------------------------------------------------------------


def parse_found(response: vidpoll.Response, own_id: str) -> vidpoll.Submitted:
    return vidpoll.Submitted(str(vidpoll.parsing.json_object(response)["found"]))


FIND = vidpoll.Operation(lambda own_id: vidpoll.Request("GET", f"/own/{own_id}"), parse_found)


def talk_find(
    submits: list[Any], finds: list[Any], path: Path, find: vidpoll.Operation[Any] = FIND, field: str = "own_id"
) -> Talk:
    provider = replace(ACME, submit={"clip": replace(ANY, key=field, find=find)})
    return talk({"/own/": finds, "": submits}, store=path, provider=provider, accounts={"acme": ACCOUNT})


def test_what_is_found_may_not_be_the_job_of_another_key(path: Path) -> None:
    """A provider that tells nonsense frees no key."""
    t = talk_find([SUBMITTED, RESET], [{"found": "j1"}], path)
    once(t)
    unknown(t, "order-43")
    assert [each.key for each in t.client.store.unknown_submits()] == ["order-43"]


@pytest.mark.parametrize("field", ["own_id", "idempotency_key"])
def test_a_lost_submit_is_found_by_its_own_id(path: Path, field: str) -> None:
    """Once, and it is the job of its key; also where the store hides what was sent, by the field's name."""
    t = talk_find([RESET], [{"found": "j1"}], path, field=field)
    job = once(t)
    assert (job.ref, job.key, once(t).ref, job.submitted_at) == (REF, KEY, REF, NOW)
    assert t.requests == ["POST /v1/jobs", f"GET /v1/own/{json.loads(t.wire.sent[0].body or b'')[field]}"]
    assert t.client.store.unknown_submits() == []


def test_the_next_process_finds_what_the_one_before_has_lost(path: Path) -> None:
    """Not at once, but by now."""
    t = talk_find([RESET], [(404, {"error": "no such"})], path)
    unknown(t)
    u = talk_find([], [{"found": "j1"}], path)
    assert once(u).ref == REF
    assert [wire.method for wire in u.wire.sent] == ["GET"]


@pytest.mark.parametrize("answer", [(404, {}), (401, {}), {"other": 1}, {"found": "a\nb"}])
def test_what_is_not_found_stays_unknown(path: Path, answer: Any) -> None:
    """The provider may not know it yet: nothing is sent again."""
    t = talk_find([RESET, SUBMITTED], [answer], path)
    assert unknown(t).reason.startswith("the connection failed")
    assert [each.key for each in t.client.store.unknown_submits()] == [KEY]


def test_an_own_id_that_is_the_jobs_id_is_found_by_its_status(path: Path) -> None:
    """A server that takes the id from the caller answers for it as for any job."""
    asks = vidpoll.Operation(FIND.request, ACME.status.parse)
    t = talk_find([RESET], [DONE], path, asks)
    assert once(t).ref == f"acme:{bodies(t)[0]}"


@pytest.mark.parametrize("given", [True, False])
def test_only_an_id_of_ours_is_looked_for(path: Path, given: bool) -> None:
    """One of the caller's may be an older job's, and an earlier plugin may have sent none."""
    if given:
        t = talk_find([RESET], [{"found": "j1"}], path)
        with pytest.raises(vidpoll.SubmitUnknown):
            once(t, own_id="clip-17")
        assert t.requests == ["POST /v1/jobs"]
    else:
        unknown(talk([RESET], store=path))
        t = talk_find([], [{"found": "j1"}], path)
        unknown(t)
        assert t.requests == []


@pytest.mark.parametrize(
    "wrong", [{"key": 7}, {"honours_key": True}, {"key": "a", "honours_key": 1}, {"find": ANY}, {"key": "a", "find": 7}]
)
def test_what_a_plugin_says_of_keys_is_checked(wrong: dict[str, Any]) -> None:
    """At the time that it is made."""
    with pytest.raises(vidpoll.PluginError, match=r"Operation (key|honours_key|find)"):
        replace(ANY, **wrong)
