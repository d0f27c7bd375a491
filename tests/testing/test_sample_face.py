"""A face without code: what the samples of a provider's contract show is played, job by job, and no more."""

from __future__ import annotations

import hmac
import json
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import Request as Asked
from urllib.request import urlopen

import pytest
import vidpoll_providers
from contract_cases import SAMPLES, caught, contract, write
from good_plugin import Good
from sampled import (
    HAIL_HEAD,
    HAIL_SAMPLES,
    REEL_HEAD,
    REEL_SAMPLES,
    REEL_SUBMITS,
    Hailstone,
    Reels,
    Samples,
    hail_status,
    status,
)

import vidpoll
from vidpoll import State, declare, parsing
from vidpoll.cli import main
from vidpoll.plugins import Plugins
from vidpoll.testing import Simulation, simulate
from vidpoll.testing.simulator import SampleFace
from vidpoll.testing.simulator.answers import like, own_part, progress_writer

MAGICOAL = Path(vidpoll_providers.__file__).parent / "samples/magicoal"


@pytest.fixture
def reels(tmp_path: Path) -> Path:
    return write(tmp_path / "reels", REEL_SAMPLES, **REEL_HEAD)


@pytest.fixture
def hailstone(tmp_path: Path) -> Path:
    return write(tmp_path / "hailstone", HAIL_SAMPLES, **HAIL_HEAD)


def provider_of(*plugins: object, name: str) -> vidpoll.Provider:
    return Plugins(plugins, discover=not plugins).providers[name]


def played(folder: Path, plugin: object | None, name: str, **options: Any) -> Simulation:
    """The provider as its samples play it; waits take no time."""
    plugins = () if plugin is None else (plugin,)
    face = SampleFace(folder / "index.json", provider_of(*plugins, name=name), **options)
    return Simulation({name: face}, instant=True, plugins=plugins)


def course(client: vidpoll.Client, job: vidpoll.Job) -> tuple[list[str | None], list[float]]:
    """The stages and the percentages that a wait shows."""
    events = list(client.watch(job))
    stages = [event.stage for event in events if isinstance(event, vidpoll.StageChanged)]
    return stages, [event.progress for event in events if isinstance(event, vidpoll.ProgressChanged)]


def file_at(url: str | None, **headers: str) -> tuple[int, bytes]:
    with urlopen(Asked(str(url), headers=headers), timeout=10) as answer:
        return answer.status, answer.read()


# -- ids with a kind, percentages as text, a 200 that is a refusal -----------------------------------------------------


def test_a_job_from_submit_to_file(reels: Path, tmp_path: Path) -> None:
    """Ids of the sample's form, stages in order, rising progress, a file that is the served one, whole and in part."""
    with played(reels, Reels(), "reels") as simulation:
        client = simulation.client()
        jobs = []
        for kind, fields in REEL_SUBMITS.items():
            job = client.submit("reels", kind, **fields)
            jobs.append(job)
            assert job.id.startswith(f"{kind}/8")
            assert len(job.id.partition("/")[2]) >= len("831775")
            assert job.stage == "submitted"
            stages, shown = course(client, job)
            assert stages == ["processing"]
            assert len(shown) >= 4
            assert shown == sorted(set(shown))
            (path,) = client.download(job, tmp_path / kind)
            assert (200, path.read_bytes()) == file_at(job.video.url)
            assert (206, path.read_bytes()[10:20]) == file_at(job.video.url, Range="bytes=10-19")
        assert len({job.id for job in jobs}) == len({file_at(job.video.url)[1] for job in jobs}) == 2


def test_failed_cancelled_and_unknown(reels: Path) -> None:
    """A failure says what the test asked for, a cancel shows, another id and another job's end are told apart."""
    with played(reels, Reels(), "reels") as simulation:
        client = simulation.client()
        submit = partial(client.submit, "reels", "text2video", prompt="a sea")
        simulation.fail_next("reels", message="The test says no.")
        failed, running, untouched = submit(), submit(), submit()
        assert client.wait(failed, check=False).problem == vidpoll.Problem("The test says no.")
        client.cancel(running)
        assert client.wait(running, check=False).state is State.CANCELLED
        assert client.wait(untouched).ok
        with pytest.raises(vidpoll.Conflict):
            client.cancel(untouched)
        with pytest.raises(vidpoll.NotFound, match="no such task"):
            client.poll("reels:text2video/1")


def test_an_operation_that_jobs_of_a_kind_have_not(reels: Path) -> None:
    """Its builder refuses their ids: they are played without it, and the others with it."""
    provider = provider_of(Reels(), name="reels")
    cancel = provider.cancel
    assert cancel is not None

    def refused(job_id: str) -> vidpoll.Request:
        if job_id.startswith("image2video/"):
            raise vidpoll.Unsupported("reels: such a job cannot be cancelled")
        return cancel.request(job_id)

    plugin = Brings(replace(provider, cancel=replace(cancel, request=refused)))
    with played(reels, plugin, "reels") as simulation:
        client = simulation.client()
        text, image = (client.submit("reels", kind, **fields) for kind, fields in REEL_SUBMITS.items())
        with pytest.raises(vidpoll.Unsupported):
            client.cancel(image)
        client.cancel(text)
        assert client.wait(text, check=False).state is State.CANCELLED
        assert client.wait(image).ok


def test_whether_progress_is_told(reels: Path, hailstone: Path) -> None:
    """By the samples of a job under way: what asks for it (the demo) does not miss it where there is none."""
    with played(reels, Reels(), "reels") as simulation:
        assert simulation.faces["reels"].tells_progress("text2video")
    with played(hailstone, Hailstone(), "hailstone") as simulation:
        assert not simulation.faces["hailstone"].tells_progress("video")


def test_a_word_of_another_interface_is_not_played(tmp_path: Path) -> None:
    """Of two interfaces one has a word for a queue: a job of the other runs from the beginning."""
    plain = declare.Reader({"queued": State.QUEUED, "run": State.RUNNING, "ok": State.COMPLETED, "no": State.FAILED})
    number = declare.Reader(
        {5: State.RUNNING, 1: State.COMPLETED, 8: State.FAILED}, status="flag", ids=declare.Ids("kind/id", ("b",))
    )
    provider = vidpoll.Provider(
        "two",
        base_url="https://api.two.example",
        auth=vidpoll.Bearer("TWO_API_KEY"),
        pacing=vidpoll.Pacing(floor=3.0),
        status=declare.by_kind(
            {"b": declare.status("GET /{kind}/{id}", number), "": declare.status("GET /a/{id}", plain)}
        ),
        submit={
            "a": declare.submit("POST /a", plain, {"prompt": declare.text()}, kind="a"),
            "b": declare.submit("POST /b", number, {"prompt": declare.text()}, kind="b"),
        },
    )
    video: dict[str, Any] = {"kind": "video", "url": "https://cdn.two.example/a.mp4"}
    told = [
        ("j1", "status", "queued", "queued"),
        ("j1", "status", "run", "running"),
        ("j1", "status", "ok", "completed"),
        ("j1", "status", "no", "failed"),
        ("b/j2", "flag", 5, "running"),
        ("b/j2", "flag", 1, "completed"),
        ("b/j2", "flag", 8, "failed"),
    ]
    samples: Samples = []
    for job_id, name, word, state in told:
        body = {"id": job_id[-2:], name: word, "url": video["url"]}
        expect = {"state": state, "stage": str(word), "progress": None}
        expect["assets"] = [video] if state == "completed" else []
        samples.append((f"{word}.json", body, {"operation": "status", "id": job_id, "expect": expect}))
    samples += [
        (f"submit-{kind}.json", {"id": job_id[-2:]}, {"operation": f"submit {kind}", "expect": {"job_id": job_id}})
        for kind, job_id in (("a", "j1"), ("b", "b/j2"))
    ]
    folder = write(tmp_path / "two", samples, base_url="https://api.two.example", id="j1", words={})

    class Two:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> Any:
            yield provider

    with played(folder, Two(), "two") as simulation:
        client = simulation.client()
        seen = [event for kind in ("a", "b") for event in client.watch(client.submit("two", kind, prompt="x"))]
    stages = [event.stage for event in seen if isinstance(event, vidpoll.StageChanged)]
    faults = [event for event in seen if isinstance(event, vidpoll.PollFailed)]
    assert (stages, faults) == (["queued", "run", "5"], [])


def test_a_failure_of_another_state(reels: Path) -> None:
    """`fails_as`: what is to fail ends as the samples show that state."""
    with played(reels, Reels(), "reels", fails_as="cancelled") as simulation:
        client = simulation.client()
        simulation.fail_next("reels")
        with pytest.raises(vidpoll.JobCancelled):
            client.wait(client.submit("reels", "text2video", prompt="a sea"))


def test_a_request_without_a_key(reels: Path, hailstone: Path) -> None:
    """The refusal of the samples, an HTTP status or a code in a 200; a wrong key is told where the key is sent."""
    with played(reels, Reels(), "reels") as simulation:
        with pytest.raises(vidpoll.AuthenticationError, match="who are you"):
            simulation.client(accounts={"reels": account(simulation, "reels", None)}).poll("reels:text2video/1")
    with played(hailstone, Hailstone(), "hailstone") as simulation:
        client = simulation.client(accounts={"hailstone": account(simulation, "hailstone", "wrong-key-0123456")})
        with pytest.raises(vidpoll.AuthenticationError, match="login fail"):
            client.submit("hailstone", "video", prompt="a sea")
        assert simulation.submissions("hailstone") == 0


def test_a_question_is_no_submit_where_both_have_one_path(hailstone: Path) -> None:
    """An id that is unknown is asked about by POST, like a submit: nothing is started."""
    (provider,) = Hailstone().vidpoll_providers()
    path = provider.submit["video"].request({"prompt": "a sea"}).path
    asks = vidpoll.Operation(lambda job_id: vidpoll.Request("POST", path, json={"task": job_id}), provider.status.parse)

    class Plugin:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
            yield replace(provider, status=asks)

    with played(hailstone, Plugin(), "hailstone") as simulation:
        with pytest.raises(vidpoll.NotFound, match="no such task"):
            simulation.client().poll("hailstone:176843862716480")
        assert simulation.submissions("hailstone") == 0


class Signed(Reels):
    """Reels, with a signature over the whole content that names the access key."""

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
        def sign(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
            mac = hmac.new(secrets["REELS_SECRET_KEY"].encode(), repr(request).encode(), "sha256").hexdigest()
            return {"Authorization": f"Sign {secrets['REELS_ACCESS_KEY']} {mac}", "X-At": f"{request.at}"}

        for provider in super().vidpoll_providers():
            yield replace(provider, auth=vidpoll.Minted(("REELS_ACCESS_KEY", "REELS_SECRET_KEY"), sign))


def test_a_signature_that_names_its_key(reels: Path) -> None:
    """It is another for each request, and taken; the one of another key is not."""
    with played(reels, Signed(), "reels") as simulation:
        job = simulation.client().submit("reels", "text2video", prompt="a sea")
        wrong = dict.fromkeys(("REELS_ACCESS_KEY", "REELS_SECRET_KEY"), "wrong-key-0123456")
        other = vidpoll.Account("reels", base_url=simulation.base_urls["reels"], key=wrong)
        with pytest.raises(vidpoll.AuthenticationError, match="who are you"):
            simulation.client(accounts={"reels": other}).poll(job.ref)


def account(simulation: Simulation, name: str, key: str | None) -> vidpoll.Account:
    return vidpoll.Account(name, base_url=simulation.base_urls[name], key=key)


# -- a second answer ---------------------------------------------------------------------------------------------------


def test_a_second_answer_is_each_jobs_own(hailstone: Path, tmp_path: Path) -> None:
    """Two jobs have two files: what leads from the first answer to the second is not the sample's."""
    with played(hailstone, Hailstone(), "hailstone") as simulation:
        client = simulation.client()
        jobs = [client.submit("hailstone", "video", prompt="a sea") for _ in range(2)]
        assert course(client, jobs[0]) == (["Queueing", "Processing"], [])
        client.wait(jobs[1])
        files = [client.download(job, tmp_path / job.id)[0].read_bytes() for job in jobs]
        assert files == [file_at(job.video.url)[1] for job in jobs]
        assert files[0] != files[1]
        asked = {each.query for each in simulation.requests("hailstone") if each.path == "/v1/files/retrieve"}
        assert len(asked) == 2
        assert not any("205258526306433" in query for query in asked)
        with pytest.raises(vidpoll.NotFound, match="no such task"):
            client.poll("hailstone:176843862716480")
        simulation.fail_next("hailstone")
        with pytest.raises(vidpoll.JobFailed):
            client.wait(client.submit("hailstone", "video", prompt="a sea"))


# -- a provider whose face is written by hand --------------------------------------------------------------------------

IMAGE = {"i2v": {"image": "https://pictures.example/a.png"}}


def test_magicoal_out_of_its_samples(tmp_path: Path) -> None:
    """Four stages in order, two kinds, files, list, quota, failure, 404 and 401, as the face by hand plays them."""
    with played(MAGICOAL, None, "magicoal", fields=IMAGE) as simulation:
        client = simulation.client()
        job = client.submit("magicoal", "t2v", prompt="a sea")
        assert job.stage == "queued"
        stages, shown = course(client, job)
        assert stages == ["generating_image", "uploading_image", "generating_video", "saving"]
        assert shown == sorted(set(shown))
        files = client.download(job, f"{tmp_path}/", kinds=("video", "thumbnail"))
        assert [path.read_bytes() for path in files] == [file_at(asset.url)[1] for asset in job.assets]
        running = client.submit("magicoal", "i2v", **IMAGE["i2v"])
        assert [(row.id, row.state) for row in client.jobs("magicoal")] == [(job.id, State.COMPLETED)]
        assert client.quota("magicoal").affords(t2v=1)
        simulation.fail_next("magicoal", message="too dark")
        with pytest.raises(vidpoll.JobFailed, match="too dark"):
            client.wait(client.submit("magicoal", "t2v", prompt="a sea"))
        assert client.wait(running).ok
        with pytest.raises(vidpoll.NotFound, match="Job not found"):
            client.poll("magicoal:b72f41c9-0e8d-4a55-8b3f-19c6d0e7a222")
        wrong = simulation.client(accounts={"magicoal": account(simulation, "magicoal", "wrong-key-0123456")})
        with pytest.raises(vidpoll.AuthenticationError, match="missing, invalid or revoked"):
            wrong.quota("magicoal")


# -- list, delete, content: Goodness has every operation ---------------------------------------------------------------


def _is_last_page(row: dict[str, Any]) -> bool:
    return row["operation"] == "list" and row["expect"].get("next") is None


def good(tmp_path: Path, extra: Samples) -> Simulation:
    named = {name for name, *_ in extra} | {"deleted.json"}
    samples = [each for each in SAMPLES if each[0] not in named and not _is_last_page(each[2])]
    return played(write(tmp_path / "good", [*samples, *extra]), Good(), "goodness")


def test_a_vendor_with_two_interfaces() -> None:
    """A job is told in the samples of its own one; a query that its SDK spells out, and vidpoll does not, is borne."""
    with played(MAGICOAL.parent / "gemini", None, "gemini") as simulation:
        client = simulation.client()
        job = client.submit("gemini", "veo", model="veo-3.1-generate-preview", prompt="a sea")
        assert {type(event) for event in client.watch(job)} == {vidpoll.Completed}
        other = client.submit("gemini", "video", model="gemini-omni-1.1-flash", input="a sea")
        url = f"{simulation.base_urls['gemini']}/interactions/{other.id}?stream=false"
        assert file_at(url, **{"x-goog-api-key": simulation.keys["gemini"]})[0] == 200


def test_a_video_in_the_answer_is_each_jobs_own() -> None:
    """Where samples hold the file in base64, a job brings a whole clip, and no other job's."""
    with played(MAGICOAL.parent / "vertex", None, "vertex") as simulation:
        client = simulation.client()
        fields = {"project": "example-project", "model": "veo-3.1-generate-001", "prompt": "a sea"}
        clips = [client.wait(client.submit("vertex", "video", **fields)).video.data for _ in "ab"]
    assert len(set(clips)) == 2
    assert all(clip and clip[4:8] == b"ftyp" and len(clip) > 1000 for clip in clips)


def test_a_list_of_the_jobs_that_there_are(tmp_path: Path) -> None:
    """The newest first, each as it stands, in rows as the sample has them; a further page is empty."""
    empty = ("none.json", {"data": [], "next": None}, {"operation": "list", "expect": {"rows": [], "next": None}})
    with good(tmp_path, [empty]) as simulation:
        client = simulation.client()
        assert list(client.jobs("goodness")) == []
        jobs = [client.submit("goodness", "clip", prompt="a sea") for _ in range(2)]
        client.wait(jobs[0])
        last = client.submit("goodness", "clip", prompt="a sea")
        simulation.advance(16.0)  # it runs
        rows = [(row.id, str(row.state)) for row in client.jobs("goodness")]
        assert rows[0] == (last.id, "running")
        assert rows[-1] == (jobs[0].id, "completed")
        assert 0 < (next(client.jobs("goodness")).progress or 0) < 40


def test_a_list_that_is_asked_by_post_ends(tmp_path: Path) -> None:
    """The page stands in the body; the second one is not the first again."""
    empty = ("none.json", {"data": [], "next": None}, {"operation": "list", "expect": {"rows": [], "next": None}})
    samples = [each for each in SAMPLES if not _is_last_page(each[2])]
    bare = provider_of(Good(), name="goodness")
    assert bare.list is not None
    asked = replace(bare.list, request=lambda fields, token: vidpoll.Request("POST", "/search", json={"page": token}))

    class Posted:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> Any:
            yield replace(bare, list=asked)

    with played(write(tmp_path / "good", [*samples, empty]), Posted(), "goodness") as simulation:
        client = simulation.client()
        job = client.wait(client.submit("goodness", "clip", prompt="a sea"))
        assert [row.id for row in client.jobs("goodness")] == [job.id]


def test_what_the_samples_do_not_show_is_told(tmp_path: Path) -> None:
    """501, and the sample to add; the job is not touched."""
    with good(tmp_path, []) as simulation:
        client = simulation.client()
        job = client.submit("goodness", "clip", prompt="a sea")
        with pytest.raises(vidpoll.ServerError, match="add a sample of a delete to index"):
            client.delete(job)
        with pytest.raises(vidpoll.ServerError, match="add a sample of a list that is the last page"):
            list(client.jobs("goodness"))
        assert client.wait(job).ok


def test_a_deleted_job_is_gone(tmp_path: Path) -> None:
    """As at the provider: no such job, and no row."""
    with good(tmp_path, [("deleted.json", {"deleted": True}, {"operation": "delete"})]) as simulation:
        client = simulation.client()
        job = client.submit("goodness", "clip", prompt="a sea")
        client.delete(job)
        with pytest.raises(vidpoll.NotFound):
            client.poll(job)


# -- odd shapes: each is a real provider's -----------------------------------------------------------------------------

ODD_WORDS = {"wait": State.QUEUED, "run": State.RUNNING, "done": State.COMPLETED, "bad": State.FAILED}
CLIP = "https://cdn.odd.example/v/clip.mp4?sig=1"


def odd(name: str) -> tuple[vidpoll.Provider, Samples, str]:
    """A provider, its samples and the id that they are about."""
    job_id = {"path": "models/veo-3.1/operations/7abc9", "number": "4711"}.get(name, "job_a1b2c3d4")

    def ask(job_id: str) -> vidpoll.Request:
        if name == "post":  # asks with a body
            return vidpoll.Request("POST", "/status", json={"ids": [job_id]})
        return vidpoll.Request("GET", f"/{parsing.segment(job_id, safe='/')}")

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        if name == "empty" and response.status == 202:  # an empty 202 runs
            return vidpoll.Snapshot(State.RUNNING)
        body = parsing.json_object(response)
        state = parsing.lookup(ODD_WORDS, body.get("word"))
        inner = json.loads(body["result"]) if name == "inner" and body.get("result") else body
        url = f"/files/{body['id']}.mp4" if name == "made" else inner.get("url")
        return vidpoll.Snapshot(
            state,
            stage=body["word"],
            assets=parsing.assets(url) if state is State.COMPLETED else (),
            problem=vidpoll.Problem(body.get("why") or "no reason") if state is State.FAILED else None,
            job_id=parsing.text(body.get("id")),
        )

    def submit(fields: Mapping[str, object]) -> vidpoll.Request:
        return vidpoll.Request("POST", f"/{parsing.segment(str(fields.get('model', 'm-1')))}/new", json=dict(fields))

    def submitted(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
        if name == "header":  # the id stands in a URL of the head
            return vidpoll.Submitted((response.header("location") or "").rpartition("/")[2])
        return vidpoll.Submitted(parsing.text(parsing.json_object(response).get("id")) or "")

    told = int(job_id) if name == "number" else job_id
    end = {"inner": {"result": json.dumps({"url": CLIP})}, "made": {}, "content": {}}.get(name, {"url": CLIP})
    files = [{"kind": "video", "url": f"/files/{job_id}.mp4" if name == "made" else CLIP}] if name != "content" else []
    running: tuple[object, dict[str, Any]] = ({"id": told, "word": "run"}, status("running", "run"))
    if name == "empty":
        running = (b"", {**status("running", None), "status": 202})
    head = {"headers": {"location": f"https://api.odd.example/{job_id}"}} if name == "header" else {}
    taken = {"operation": "submit video", "expect": {"job_id": job_id}, "fields": {"model": "m-1"}, **head}
    samples = [
        ("taken.json", {} if name == "header" else {"id": told}, taken),
        ("run.json", *running),
        ("done.json", {"id": told, "word": "done", **end}, status("completed", "done", assets=files)),
        ("bad.json", {"id": told, "word": "bad", "why": "too dark"}, {**status("failed", "bad"), "status": 500}),
    ]
    return (
        vidpoll.Provider(
            "odd",
            base_url="https://api.odd.example/v2",
            auth=vidpoll.NoAuth(),
            pacing=vidpoll.Pacing(),
            status=vidpoll.Operation(ask, parse, verdicts=(500,)),
            submit={"video": vidpoll.Operation(submit, submitted)},
            content=vidpoll.Operation(
                lambda job_id: vidpoll.Request("GET", f"/{job_id}/file"), lambda answer, job_id: None
            )
            if name == "content"
            else None,
        ),
        samples,
        job_id,
    )


class Brings:
    """A plugin with a provider."""

    name = "brings"

    def __init__(self, provider: vidpoll.Provider) -> None:
        self.provider = provider

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> tuple[vidpoll.Provider, ...]:
        return (self.provider,)


@pytest.mark.parametrize("name", ["path", "number", "post", "empty", "inner", "made", "header", "content"])
def test_odd_shapes(name: str, tmp_path: Path) -> None:
    """Ids that are paths or numbers or stand in a header, questions by POST, bodies in bodies, files without a URL."""
    provider, samples, job_id = odd(name)
    folder = write(tmp_path / "odd", samples, id=job_id, words={word: str(state) for word, state in ODD_WORDS.items()})
    with played(folder, Brings(provider), "odd") as simulation:
        client = simulation.client()
        jobs = [client.submit("odd", "video", model=model) for model in ("m-1", "other-2")]
        for job in jobs:
            assert client.wait(job).ok
        files = [client.download(job, tmp_path / job.id.replace("/", "-"))[0].read_bytes() for job in jobs]
        assert files[0] != files[1]
        assert len({job_id, *(job.id for job in jobs)}) == 3
        simulation.fail_next("odd", message="not today")
        with pytest.raises(vidpoll.JobFailed, match="not today"):
            client.wait(client.submit("odd", "video", model="m-1"))


PROMPT = {"prompt": declare.text()}


def cancel_new(job_id: str) -> vidpoll.Request:
    if "/" in job_id:
        raise vidpoll.Unsupported("the old interface cancels nothing")
    return vidpoll.Request("DELETE", f"/{job_id}")


def test_two_interfaces_and_an_operation_of_one_of_them(tmp_path: Path) -> None:
    """A job is told by samples of its own interface, those of another kind too; the old one cannot cancel."""
    words = {"run": State.RUNNING, "ok": State.COMPLETED, "bad": State.FAILED}
    old = declare.Reader(words, status="word", ids=declare.Ids("kind/id", ("clip", "still")))
    new = declare.Reader(words)
    ask_old = declare.status("GET /{kind}/{id}", old)
    provider = vidpoll.Provider(
        "odd",
        base_url="https://api.odd.example",
        auth=vidpoll.NoAuth(),
        pacing=vidpoll.Pacing(),
        status=declare.by_kind({"clip": ask_old, "still": ask_old, "": declare.status("GET /{id}", new)}),
        submit={
            "new": declare.submit("POST /new", new, PROMPT),
            **{kind: declare.submit("POST /{kind}", old, PROMPT, kind=kind) for kind in ("clip", "still")},
        },
        cancel=vidpoll.Operation(cancel_new, lambda answer, job_id: None),
    )  # fmt: skip

    def told(name: str, word: str, state: str, **end: str) -> list[Any]:
        files = {"assets": [{"kind": "video", "url": end["url"]}]} if "url" in end else {}
        rows = [("new", "status", "77001"), ("old", "word", "clip/77001")]
        return [
            (f"{row}-{name}.json", {"id": "77001", field: word, **end}, {**status(state, word, **files), "id": job_id})
            for row, field, job_id in rows
        ]

    samples = [
        *((f"{kind}.json", {"id": "77001"}, {"operation": f"submit {kind}", "expect": {"job_id": job_id}})
          for kind, job_id in (("new", "77001"), ("clip", "clip/77001"), ("still", "still/77001"))),
        *told("run", "run", "running"),
        *told("ok", "ok", "completed", url="https://cdn.odd.example/a.mp4"),
        *told("bad", "bad", "failed"),
    ]  # fmt: skip
    folder = write(tmp_path / "odd", samples, id="77001", words={word: str(state) for word, state in words.items()})
    with played(folder, Brings(provider), "odd") as simulation:
        client = simulation.client()
        jobs = [client.submit("odd", kind, prompt="a sea") for kind in ("new", "clip", "still")]
        assert [client.wait(job).ok for job in jobs] == [True, True, True]
        assert [job.id.partition("/")[0] for job in jobs[1:]] == ["clip", "still"]
        with pytest.raises(vidpoll.Unsupported, match="the old interface"):
            client.cancel(jobs[1])


# -- the kit, the hook, the demo, the fixture --------------------------------------------------------------------------


UNPINNED = {
    "the_plugin_imports_only_vidpoll",
    "the_samples_leave_nothing_out",
    "requests_are_the_documented_ones",
    "the_key_travels_as_documented",
    "values_are_the_documented_ones",
}
"""What cannot hold of a provider that stands in a test, and whose samples name no requests and no auth."""


@pytest.mark.parametrize("name", ["reels", "hailstone"])
def test_the_kit_plays_a_whole_run(name: str, request: pytest.FixtureRequest) -> None:
    """Without a face of its own: the contract holds, and its last check runs instead of being skipped."""
    folder = request.getfixturevalue(name)
    plugin, submits = {"reels": (Reels(), REEL_SUBMITS), "hailstone": (Hailstone(), {"video": {"prompt": "a"}})}[name]
    cls = contract(plugin, folder, name, **submits)
    assert set(caught(cls)) <= UNPINNED
    cls().test_a_simulated_job_from_submit_to_file()


def test_the_kit_plays_magicoal_out_of_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the face by hand."""
    monkeypatch.setattr(Plugins, "simulators", lambda self: {})
    cls = contract(None, MAGICOAL, "magicoal", t2v={"prompt": "a sea"}, **IMAGE)
    cls().test_a_simulated_job_from_submit_to_file()


def test_the_kit_says_why_a_run_is_left_out(tmp_path: Path) -> None:
    """Where the samples do not suffice: the reason is what to add."""
    samples = [
        (name, body, {key: each for key, each in row.items() if key != "then"}) for name, body, row in HAIL_SAMPLES
    ]
    cls = contract(Hailstone(), write(tmp_path / "h", samples, **HAIL_HEAD), "hailstone", video={"prompt": "a"})
    with pytest.raises(pytest.skip.Exception, match=r"no sample names the second response file.json: add"):
        cls().test_a_simulated_job_from_submit_to_file()


def test_the_kit_refuses_a_hook_that_names_what_cannot_be_played(packaged: Packed) -> None:
    """Told in four lines, where a user of `vidpoll demo` would read of it first."""
    folder = Path(str(files("vidpoll_reels_packed"))) / "samples"
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    index["samples"] = [row for row in index["samples"] if row["file"] != "succeed.json"]
    (folder / "succeed.json").unlink()
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    found = caught(contract(packaged, folder, "reels", **REEL_SUBMITS), "a_simulated")
    assert 'no status sample of a job that is completed: add one with "state": "completed"' in found.popitem()[1]


@pytest.fixture
def packaged(reels: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A plugin whose package holds its samples, and whose hook names them."""
    package = reels.parent / "site" / "vidpoll_reels_packed"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    reels.rename(package / "samples")
    monkeypatch.syspath_prepend(package.parent)
    yield Packed()
    sys.modules.pop("vidpoll_reels_packed", None)


class Packed(Reels):
    @vidpoll.hookimpl
    def vidpoll_simulators(self) -> Mapping[str, str]:
        return {"reels": "vidpoll_reels_packed:samples/index.json"}


def test_the_hook_names_the_samples_of_a_package(packaged: Packed) -> None:
    """`simulate`, with its options and its environment, as for a face by hand."""
    with simulate("reels", plugins=[packaged], speed=300, reels={"capacity": 1}) as simulation:
        client = simulation.client()
        assert client.wait(client.submit("reels", "text2video", prompt="a sea"), timeout=7200).ok
        assert set(simulation.environ) == {"REELS_BASE_URL", "REELS_ACCESS_KEY", "REELS_SECRET_KEY"}
    with pytest.raises(vidpoll.UsageError, match=r"the simulator of reels: .*colour"):
        simulate("reels", plugins=[packaged], reels={"colour": 1})


def test_the_demo_checks_it_like_any_other(
    packaged: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every stage, hook and file is as it should be; what to submit comes from the index."""
    monkeypatch.setattr("vidpoll.testing.simulate", partial(simulate, "reels", plugins=[packaged]))
    assert main(["demo", "--speed", "16", "--to", str(tmp_path / "demo")]) == 0
    assert "1 of 1 job completed, 1 file saved" in capsys.readouterr().out


# -- an index that cannot be played ------------------------------------------------------------------------------------


def without(samples: Samples, *names: str) -> Samples:
    return [sample for sample in samples if sample[0] not in names]


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (without(REEL_SAMPLES, "succeed.json"), 'no status sample of a job that is completed: add one with "state"'),
        (without(REEL_SAMPLES, "failed.json"), "no status sample of a job that fails: add one"),
        (without(REEL_SAMPLES, "submitted.json", "processing.json"), "no status sample of a job under way: add one"),
        (without(REEL_SAMPLES, "taken-text.json", "taken-image.json"), "no sample of a submit: add one"),
        (
            [(n, body, {**row, "fields": {"colour": 1}} if "fields" in row else row) for n, body, row in REEL_SAMPLES],
            r'taken-image.json: add "fields" that the submit accepts, .*no field \'colour\'',
        ),
        ([("taken-text.json", reel, {"operation": "submit text2video", "expect": {"job_id": "text2video/9"}})
          for _, reel, _ in REEL_SAMPLES[:1]] + REEL_SAMPLES[2:], "the job_id 'text2video/9' must be part of"),
        ([REEL_SAMPLES[0], *REEL_SAMPLES], "taken-text.json is listed twice"),
    ],
)  # fmt: skip
def test_an_index_that_cannot_be_played(samples: Samples, said: str, tmp_path: Path) -> None:
    """PluginError, naming the sample that is missing and what to add."""
    with pytest.raises(vidpoll.PluginError, match=said):
        played(write(tmp_path / "short", samples, **REEL_HEAD), Reels(), "reels")


def test_nothing_but_what_is_served_is_fetched(hailstone: Path) -> None:
    """A URL that the parser makes by itself would lead out of the simulation, to the vendor's own host."""
    provider = provider_of(Hailstone(), name="hailstone")

    def parse(response: vidpoll.Response, job_id: str) -> Any:
        said = hail_status(response, job_id)
        if not isinstance(said, vidpoll.Follow):
            return said
        return replace(said.fallback, assets=(vidpoll.Asset("https://cdn.hailstone.example/made.mp4"),))

    made = replace(provider, status=vidpoll.Operation(provider.status.request, parse))
    with pytest.raises(vidpoll.PluginError, match="the URL of its video must be in the response"):
        SampleFace(hailstone / "index.json", made)


# -- the mechanics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job_id", "text", "own"),
    [
        ("vt_5f2c", '{"id": "vt_5f2c"}', "vt_5f2c"),
        ("text2video/831", '{"task_id": 831}', "831"),
        ("831", '{"task_id": 8310}', ""),
        ("models/veo/operations/7abc", '{"name": "models/veo/operations/7abc"}', "7abc"),
        ("7/abc", '{"id": 7}', "7"),
        ("j1", "", ""),
    ],
)
def test_the_part_of_an_id_that_an_answer_names(job_id: str, text: str, own: str) -> None:
    """The last part that stands there by itself."""
    assert own_part(job_id, text) == own


def test_another_id_of_the_same_form() -> None:
    """Its length, its words and its kind of characters stay; a short one gets longer, so that ids suffice."""
    dice = random.Random(1)
    assert like("831775000", dice).isdigit()
    assert [len(part) for part in like("a1e0c7d2-5b34-4f6e-9c18-70d2be4f9a11", dice).split("-")] == [8, 4, 4, 4, 12]
    assert like("vt_5f2c0e9b7a41", dice).startswith("vt_5")
    assert len({like("j1", dice) for _ in range(100)}) > 95


@pytest.mark.parametrize(
    ("value", "full", "written"), [(40, 100, 62), (0.4, 1, 0.62), (0, 1, 0.62), ("40%", 100, "62%"), ("40", 100, "62")]
)
def test_where_the_progress_stands(value: object, full: float, written: object) -> None:
    """Where the parser reads it, in the form of the sample; what it does not read stays."""
    body = {"steps": 40, "job": {"percent": value}}

    def read(data: Any) -> float | None:
        return parsing.progress(data["job"]["percent"], full=full)

    assert progress_writer(body, read)(body, 62.0) == {"steps": 40, "job": {"percent": written}}
    assert progress_writer(body, lambda data: None)(body, 62.0) == body
