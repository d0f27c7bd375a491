"""What is odd about Replicate: output of any shape, gone in an hour; bars in logs; a list that goes on by URL."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from hmac import new as hmac_of
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import replicate

import vidpoll
from vidpoll import Problem, Request, Response, State
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = replicate.vidpoll_providers()
COG = json.loads((Path(__file__).parent / "cog-0.23.1.json").read_text(encoding="utf-8"))
END = "2026-11-28T10:02:10.789Z"
ENDED = 1795860130.789
URL = "https://replicate.delivery/xezq/a/out.mp4"


def answer(body: object, status: int = 200, **headers: str) -> Response:
    return Response(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())


def read(**body: Any) -> vidpoll.Snapshot:
    said = PROVIDER.status.parse(answer({"id": "p1", "status": "succeeded", **body}), "p1")
    assert isinstance(said, vidpoll.Snapshot)
    return said


def client_of(script: list[Response]) -> tuple[vidpoll.Client, FakeTransport, FakeClock]:
    wire, clock = FakeTransport(script), FakeClock()
    accounts = {"replicate": vidpoll.Account("replicate", key="r8_0123456789")}
    options: dict[str, Any] = {"plugins": [replicate], "discover": False, "clock": clock, "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire, clock


@pytest.mark.parametrize(
    ("logs", "percent"),
    [
        ("Using seed: 7\n  0%|   | 0/50 [00:00<?]\n 48%|████▊  | 24/50 [00:01<00:01]\n", 48.0),
        ("weights: 100%|##|\r\n 12%|#   | 1/8", 12.0),
        ("100%|##| 8/8\nsaved\n", 100.0),
        ("the answer is 42% of it", None),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_progress_is_that_of_the_last_bar(logs: object, percent: float | None) -> None:
    """What tqdm writes into the logs."""
    assert read(status="processing", logs=logs).progress == percent


def test_output_ends_an_hour_after_the_job() -> None:
    """Each file says so beforehand; what the website made is kept."""
    by_api, kept = read(output=URL, completed_at=END), read(output=URL, completed_at=END, source="web")
    assert [asset.expires_at for asset in (*by_api.assets, *kept.assets)] == [ENDED + 3600.0, None]


def test_output_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    """`data_removed`: one question, a completed job, no file, and why there is none."""
    removed = answer({"id": "p1", "status": "succeeded", "output": None, "data_removed": True})
    client, wire, _ = client_of([removed, removed])
    with client:
        job = client.wait("replicate:p1")
        assert (job.ok, job.assets, len(wire.sent)) == (True, (), 1)
        with pytest.raises(vidpoll.ResultMissing, match=r"no video \(Replicate has removed the output: it keeps"):
            client.download(job, tmp_path)


def test_output_that_comes_late_is_waited_for() -> None:
    """Completed with no output and nothing removed: polled again."""
    late = [answer({"id": "p1", "status": "succeeded"}), answer({"id": "p1", "status": "succeeded", "output": URL})]
    client, _, _ = client_of(late)
    with client:
        assert [asset.url for asset in client.wait("replicate:p1").assets] == [URL]


def test_output_while_it_runs_is_no_file() -> None:
    """It may be half of it."""
    said = read(status="processing", output=[URL])
    assert (said.state, said.assets) == (State.RUNNING, ())


FLAGGED, INTERRUPTED = "flagged as sensitive. (E005) (aB1cD2eF3g)", "interrupted; please retry (code: PA)"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        ("CUDA out of memory. (E1001)", Problem("CUDA out of memory. (E1001)", "E1001", kind="internal")),
        (FLAGGED, Problem(FLAGGED, "E005", kind="moderated_output")),
        ("NSFW content detected", Problem("NSFW content detected", kind="moderated_output")),
        (INTERRUPTED, Problem(INTERRUPTED, "PA", kind="internal")),
        ({"detail": "old"}, Problem("old")),
        ("it broke (see logs)", Problem("it broke (see logs)")),
        (None, Problem()),
    ],
)
def test_the_code_stands_in_brackets(error: object, problem: Problem) -> None:
    assert read(status="failed", error=error).problem == problem


def test_what_official_models_cost_is_not_told() -> None:
    """Their price goes by what they make, that of others by the seconds."""
    metrics = {"predict_time": 4.5}
    costs = [read(metrics=metrics, version=version).cost for version in ("hidden", "39ed", "dp-1")]
    assert costs == [None, vidpoll.Cost(4.5, 0, "seconds"), vidpoll.Cost(4.5, 0, "seconds")]


def test_fields_that_are_no_fields_are_inputs() -> None:
    """Those in `input` too, which may have any name; a deadline is a header."""
    fields = {"model": "acme/video", "prompt": "a sea", "cancel_after": "5m", "input": {"model": "fast", "prompt": "x"}}
    assert PROVIDER.submit["model"].request(fields) == Request(
        "POST",
        "/v1/models/acme/video/predictions",
        headers={"Cancel-After": "5m"},
        json={"input": {"model": "fast", "prompt": "a sea"}},
    )


@pytest.mark.parametrize("version", ["acme/video", f"acme/video:{'0' * 64}", "0" * 64])
def test_the_forms_of_a_version(version: str) -> None:
    assert PROVIDER.submit["prediction"].request({"version": version}).json == {"version": version, "input": {}}


def test_a_version_is_an_input_where_the_path_names_the_model() -> None:
    """Only a prediction by version has a field of that name."""
    sent = PROVIDER.submit["model"].request({"model": "a/b", "version": "1.5"})
    assert (sent.path, sent.json) == ("/v1/models/a/b/predictions", {"input": {"version": "1.5"}})


def test_a_file_is_no_input(tmp_path: Path) -> None:
    """The message says what is."""
    with pytest.raises(
        vidpoll.InvalidField, match=r"its URL, which `vidpoll upload replicate FILE` or client\.upload returns"
    ):
        PROVIDER.submit["model"].request({"model": "acme/video", "image": tmp_path / "a.png"})


@pytest.mark.parametrize(
    ("next", "query"),
    [
        ("https://api.replicate.com/v1/predictions?cursor=c2%3D&source=web", "cursor=c2%3D&source=web"),
        ("https://evil.example/v1/predictions?cursor=c2", "cursor=c2"),
        ("https://api.replicate.com/v1/predictions", None),
        ("https://[", None),
        (None, None),
    ],
)
def test_the_next_page_is_asked_for_at_the_account_s_own(next: str | None, query: str | None) -> None:
    """Of the URL that names it the query alone is taken."""
    assert PROVIDER.list is not None
    page = PROVIDER.list.parse(answer({"results": [], "next": next}), "")
    assert isinstance(page, vidpoll.Page)
    assert page.next == query
    if query:
        sent = PROVIDER.list.request({"created_after": "2026-11-01"}, query)
        assert (sent.host, sent.path, dict(sent.query)["created_after"]) == ("", "/v1/predictions", "2026-11-01")
        assert dict(sent.query)["cursor"] in ("c2", "c2=")


def test_a_429_is_waited_for_as_its_body_says() -> None:
    """An account with little credit: the submit is refused, and the next one goes out after the span in the body."""
    slow = answer({"detail": "Request was throttled.", "status": 429, "retry_after": 40}, 429)
    client, wire, clock = client_of([slow, answer({"id": "p1", "status": "starting"}, 201)])
    with client:
        with pytest.raises(vidpoll.RateLimited, match="Request was throttled"):
            client.submit("replicate", "model", model="acme/video", prompt="a sea")
        begun = clock.monotonic()
        assert client.submit("replicate", "model", model="acme/video", prompt="a sea").id == "p1"
    assert (len(wire.sent), 40.0 <= clock.monotonic() - begun < 60.0) == (2, True)


@pytest.mark.parametrize(("word", "state"), [("canceled", State.CANCELLED), ("succeeded", State.COMPLETED)])
def test_the_answer_of_a_cancel_is_the_job(word: str, state: State) -> None:
    """Of one that is over it says what it was before."""
    assert PROVIDER.cancel is not None
    said = PROVIDER.cancel.parse(answer({"id": "p1", "status": word, "output": URL}), "p1")
    assert isinstance(said, vidpoll.Snapshot)
    assert said.state is state


def test_an_upload_gives_a_url(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    upload = PROVIDER.upload["file"]
    sent = upload.request(tmp_path / "a.png")
    assert (sent.path, b'name="content"; filename="a.png"' in (sent.body or b"")) == ("/v1/files", True)
    url = "https://api.replicate.com/v1/files/f1"
    assert upload.parse(answer({"id": "f1", "urls": {"get": url}}, 201), "") == url


def test_a_signed_webhook() -> None:
    """Standard Webhooks, the secret in base64."""
    body, secret = b'{"id":"p1","status":"processing"}', b"0123456789"
    mac = b64encode(hmac_of(secret, b"msg_1.1795860130." + body, sha256).digest()).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1795860130", "webhook-signature": f"v1,{mac}"}
    key = f"whsec_{b64encode(secret).decode()}"
    assert vidpoll.webhook(PROVIDER, headers, body, key, now=1795860130.0) == body
    with pytest.raises(vidpoll.BadSignature):
        vidpoll.webhook(PROVIDER, headers, body + b" ", key, now=1795860130.0)


def test_what_cog_pushes() -> None:
    """[Recorded] The server in a model's container: no times, no model; the video is in the body."""
    said = [read(**body) for body in (*COG["pushed"], COG["failed"])]
    told = [
        (each.state, each.progress, [(asset.kind, (asset.data or b"")[4:8]) for asset in each.assets]) for each in said
    ]
    assert told == [
        (State.RUNNING, None, []),
        (State.RUNNING, 37.0, []),
        (State.COMPLETED, 100.0, [("video", b"ftyp")]),
        (State.FAILED, None, []),
    ]
