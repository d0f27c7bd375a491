"""What ends a submit of unknown outcome: `--adopt` polls the job first, and `--dismiss` waits for the list."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, REF
from shell import MEDIA, Shell

import vidpoll
from vidpoll.testing import FakeClock, FakeTransport

START = 1_800_000_000.0
RESET = ConnectionResetError()
MISSING = (404, {"error": "no such job"})
STORE = ("--store", "s.sqlite3")
AT = "2027-01-15T08:00:00Z"


class Wire(FakeTransport):
    """A script that is answered on this clock."""

    def __init__(self, clock: FakeClock, script: Any) -> None:
        super().__init__(script)
        self.clock = clock


class Desk:
    """One store and one clock, for one command after the other."""

    def __init__(self, shell: Shell) -> None:
        self.shell, self.clock = shell, FakeClock(START)

    def __call__(self, *argv: str, script: Any = ()) -> tuple[int, list[str], list[str]]:
        self.wire = Wire(self.clock, script)
        code, out, err = self.shell(*argv, *STORE, script=self.wire)
        return code, out, [line.removeprefix("vidpoll:").lstrip() for line in err]

    def once(self, key: str = "k1", script: Any = (RESET,)) -> tuple[int, list[str], list[str]]:
        return self("submit", "acme", "clip", "prompt=a sea", "--once", key, script=list(script))

    def adopt(self, ref: str, *options: str, script: Any = ()) -> tuple[int, list[str], list[str]]:
        return self("resume", "--adopt", ref, *options, "--quiet", script=script)

    def kept(self) -> dict[str, str | None]:
        """The kept jobs with their keys."""
        return {job["ref"]: job["key"] for job in map(json.loads, self("jobs", "--local", "--json")[1])}

    def open(self) -> list[str]:
        """The keys of the open submits."""
        out = self("resume", "--json", "--timeout", "0", script={"/jobs/": [DRAWING], "": [{"rows": []}]})[1]
        return sorted(line["submit"]["key"] for line in map(json.loads, out) if "submit" in line)


@pytest.fixture
def desk(shell: Shell) -> Desk:
    return Desk(shell)


# -- the message of the submit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("once", "name"), [(["--once", "-my key"], "'--key=-my key'"), ([], "--number")])
def test_the_message_of_the_submit_ends_it_when_it_is_pasted(desk: Desk, once: list[str], name: str) -> None:
    """`wait` would keep the job without the key, and the key would stay open."""
    words = [once[0] + "=" + once[1]] if once else []
    code, _, [said] = desk("submit", "acme", "clip", "prompt=a sea", *words, script=[RESET])
    shows, adopts = (shlex.split(part.partition("`")[0]) for part in said.split("`vidpoll ")[1:3])
    assert (code, "vidpoll wait" in said, name in said) == (3, False, True)
    assert desk(*shows[:-2], script=[{"rows": []}])[0] == 3
    code, out, _ = desk(*adopts[:-2], "--quiet", script=[MISSING])
    assert (code, out, desk.kept()) == (3, [], {})  # the id is still to be written
    adopts[adopts.index("acme:ID")] = REF
    code, out, _ = desk(*adopts[:-2], "--quiet", script=[DONE])
    assert (code, out, desk.kept()) == (0, ["acme:j1 completed: video"], {REF: once[-1] if once else None})


# -- adopting ---------------------------------------------------------------------------------------------------------


def test_a_job_that_the_provider_does_not_know_is_not_adopted(desk: Desk) -> None:
    """Its key would be bound to nothing; one poll is enough to see it."""
    desk.once()
    code, out, [said] = desk.adopt("acme:nonsense", "--key", "k1", script=[MISSING])
    line = f"vidpoll resume --adopt acme:nonsense --key k1 {' '.join(STORE)}"
    assert (code, out) == (3, [])
    assert said == (
        "acme:nonsense is not adopted: acme does not know this job (HTTP 404: no such job). Check the id; "
        f"`vidpoll resume {' '.join(STORE)}` shows which jobs the submit may have become. If the job is new, repeat in "
        f"a minute: {line}"
    )
    assert (len(desk.wire.sent), desk.kept(), desk.open()) == (1, {}, ["k1"])


def test_a_job_that_cannot_be_polled_is_not_adopted(desk: Desk) -> None:
    """The same line does it later; what else the call asked for is not done either."""
    desk.once()
    desk.once("k2")
    desk.clock.now += 60
    code, _, err = desk.adopt(REF, "--key", "k1", "--dismiss", "k2", script=[(500, {}, b"")])
    line = f"vidpoll resume --adopt acme:j1 --key k1 {' '.join(STORE)}"
    assert (code, err[-1].startswith("acme:j1 is not adopted: it could not be polled: ")) == (3, True)
    assert err[-1].endswith(f"Then repeat: {line}")
    assert (desk.kept(), desk.open()) == ({}, ["k1", "k2"])
    code, out, err = desk(*shlex.split(line)[1:-2], "--quiet", "--download", "d", script={**MEDIA, "": [DONE]})
    assert (code, out[0], err) == (3, "acme:j1 completed: video", [*err[:-1], err[-1]])
    assert err[0] == f"the submit acme clip of {AT} (key k1) is now acme:j1"
    assert desk.kept() == {REF: "k1"}


def test_a_job_of_a_status_that_the_plugin_does_not_know_is_there(desk: Desk) -> None:
    """An unknown word is a word about this job."""
    desk.once()
    code, _, err = desk.adopt(REF, "--key", "k1", "--timeout", "0", script=[{"status": "varnishing"}])
    assert (code, err[0]) == (3, f"the submit acme clip of {AT} (key k1) is now acme:j1")
    assert desk.kept() == {REF: "k1"}


def test_the_wrong_job_is_replaced(desk: Desk) -> None:
    """By a second --adopt with the key; the key is never free, and the wrong job stays without it."""
    desk.once()
    assert desk.adopt("acme:wrong", "--key", "k1", "--timeout", "0", script=[DRAWING])[0] == 3
    for _ in range(2):  # the second time it is done already
        code, out, err = desk.adopt(REF, "--key", "k1", "--timeout", "0", script={"/wrong": [DRAWING], "": [DONE]})
        assert (code, out) == (3, ["acme:j1 completed: video"])
        kept, desk_says = desk.kept(), err[0]
        assert kept == {"acme:wrong": None, REF: "k1"}
    assert desk_says == "acme:j1 is kept as the job of its submit already"
    assert desk.once(script=[]) == (0, [REF], [])


def test_the_line_about_the_right_job_says_what_moved(desk: Desk) -> None:
    """And a job whose id came with its submit gives its key to none."""
    desk.once()
    desk.adopt("acme:wrong", "--key", "k1", script=[DONE])
    said = desk.adopt(REF, "--key", "k1", script=[DONE])[2][0]
    assert said == "the submit with the key k1 is now acme:j1, no longer acme:wrong, which stays here without a key"
    desk.once("k2", script=[{"id": "j2", "status": "queued"}])
    code, _, [said] = desk.adopt("acme:j3", "--key", "k2")
    assert (code, said) == (
        2,
        "--adopt acme:j3: the key 'k2' belongs to acme:j2, which the response to its submit named",
    )
    desk("submit", "acme", "clip", "prompt=a lake", "--once", "k3", script=[RESET])
    code, _, [said] = desk.adopt("acme:j2", "--key", "k3", script=[DRAWING])
    assert (code, "acme:j2 has the key 'k2'" in said, desk.open()) == (2, True, ["k3"])


def test_a_submit_that_the_provider_has_merged_is_adopted_as_printed(desk: Desk) -> None:
    """The job of an equal submit gets its key as well; both are printed for it, and nothing is sent."""
    desk.once(script=[{"id": "j1", "status": "queued"}])
    desk.once("k2")
    said = desk.adopt(REF, "--key", "k2", script=[DONE])[2][0]
    assert (said, desk.open()) == (
        "the submit acme clip of 2027-01-15T08:00:00Z (key k2) is now acme:j1",
        [],
    )
    assert [desk.once(key, script=[])[:2] for key in ("k1", "k2")] == [(0, [REF])] * 2
    assert desk.adopt(REF, "--key", "k2")[2][0] == "acme:j1 is kept as the job of its submit already"


def test_a_job_that_wait_has_kept_gets_the_key(desk: Desk) -> None:
    """Without another poll; `resume` offers it, and not one that was there before the submit."""
    desk("wait", "acme:old", "--quiet", script=[DONE])
    desk.clock.now += 5
    desk.once()
    desk.clock.now += 5
    desk("wait", REF, "--quiet", script=[DONE])
    rows = {"rows": [{"id": name, "status": "done"} for name in ("old", "j1")]}
    for answer in (rows, {"rows": []}, (400, {})):  # in the list, not in it, and without a list
        told = desk("resume", script=[answer])[2]
        line = f"vidpoll resume --adopt acme:j1 --key k1 {' '.join(STORE)}"
        assert [each.partition("acme:")[2] for each in told if "it may be" in each] == [
            f"j1 completed done, kept here already: {line}"
            if answer is rows
            else f"j1 completed: video, kept here already: {line}"
        ]
    desk.clock.now += 5
    code, out, err = desk(*shlex.split(line)[1:-2], "--quiet")
    assert (code, out[0].startswith("acme:j1 completed: video (as kept on "), desk.wire.sent) == (0, True, [])
    assert err == [
        "the submit acme clip of 2027-01-15T08:00:05Z (key k1) is now acme:j1",
        f"no file of acme:j1 was saved; to save it: vidpoll download acme:j1 {' '.join(STORE)}",
    ]
    assert desk.kept() == {"acme:old": None, REF: "k1"}


def test_a_submit_with_a_key_is_adopted_by_name_only(desk: Desk) -> None:
    """A line that was pasted twice must not reach the next one."""
    desk.once()
    code, _, [said] = desk.adopt(REF)
    assert (code, "1 submit of acme has an unknown outcome: say which one it is with --key KEY" in said) == (2, True)
    assert desk.open() == ["k1"]


@pytest.mark.parametrize("option", ["--key=k1", "--number=7"])
def test_the_name_of_a_submit_needs_adopt(desk: Desk, option: str) -> None:
    """Nothing is waited for meanwhile."""
    desk.once()
    name = option.partition("=")[0]
    assert desk("resume", option) == (2, [], [f"{name} names the submit that --adopt REF is about: add --adopt REF"])


def test_a_job_with_a_key_that_is_gone_is_not_forgotten_lightly(desk: Desk) -> None:
    """The line that frees its key says so; first comes the one that adopts the right job."""
    desk.once()
    desk.adopt(REF, "--key", "k1", "--timeout", "0", script=[DRAWING])
    code, _, err = desk("resume", "--quiet", script=[MISSING])
    adopt, forget = (f"vidpoll {words} {' '.join(STORE)}" for words in (
        "resume --adopt acme:ID --key k1", "jobs --local --forget acme:j1"))  # fmt: skip
    assert code == 3
    assert err[-1].endswith(
        f". If the wrong job was adopted, adopt the right one: {adopt}. To leave this job out from now on, which frees "
        f"its key 'k1' to buy again: {forget}"
    )


def test_a_job_of_another_submit_is_not_adopted(desk: Desk) -> None:
    """It was submitted here without a key; or it was adopted for another submit."""
    submit = ("submit", "acme", "clip", "prompt=a sea")
    desk(*submit, script=[{"id": "j1", "status": "queued"}])
    desk.once()
    desk(*submit, script=[RESET])
    assert desk.adopt(REF, "--key", "k1", script=[DRAWING])[::2] == (2, [
        "acme:j1 is the job of another submit already: check the id"
    ])  # fmt: skip
    said = desk("resume", "--json", "--timeout", "0", script={"/jobs/": [DRAWING], "": [{"rows": []}]})[1]
    numbers = [each["submit"]["number"] for each in map(json.loads, said) if not each.get("submit", {}).get("key", "-")]
    code, _, [said] = desk.adopt(REF, "--number", str(numbers[0]), script=[DRAWING])
    assert (code, "acme:j1 is the job of another submit already" in said) == (2, True)
    assert desk.kept() == {REF: None}


def test_the_line_that_takes_a_new_state_says_that_it_frees_the_key(desk: Desk) -> None:
    """The job exists, and would be bought again."""
    desk.once(script=[{"id": "j1", "status": "queued"}])
    desk("resume", "--quiet", script=[BROKEN])
    said = desk("status", REF, script=[DONE])[2][0]
    forget, wait = (f"vidpoll {words} {' '.join(STORE)}" for words in (f"jobs --local --forget {REF}", f"wait {REF}"))
    assert said.endswith(
        f"To keep the new state instead: {forget}, then {wait} (the first frees its key 'k1', which may then buy again)"
    )


def test_a_deleted_job_says_that_its_key_is_free(desk: Desk) -> None:
    """The same submit would buy again. The key of a job whose outcome is kept stays taken."""
    for key, answer, freed in (("k1", DRAWING, True), ("k2", DONE, False)):
        ref = f"acme:{key}"
        desk.once(key, [{"id": key}])
        desk("wait", ref, "--timeout", "0", "--quiet", script=[answer])
        code, out, err = desk("delete", ref, "--yes", script=[(204, {}, b"")])
        said = [f"the job had no final state here, so its key {key!r} may buy again"] if freed else []
        assert (code, out, err) == (0, [f"{ref} deleted"], said)
        assert (ref in desk.kept()) is not freed


def merged(desk: Desk) -> tuple[int, list[str], list[str]]:
    """Three equal submits that the provider answers with one id. The balance pays for all."""
    script = {"/quota": [{"credits": 150}], "": [{"id": "j1", "status": "queued"}] * 3}
    return desk("submit", "acme", "clip", "prompt=a sea", "--once", "k", "--count", "3", script=script)


def test_merged_submits_are_not_bought_again(desk: Desk) -> None:
    """So the same line needs no balance, and all keys are listed."""
    assert merged(desk) == (0, [REF] * 3, [])
    assert desk("submit", "acme", "clip", "prompt=a sea", "--once", "k", "--count", "3") == (0, [REF] * 3, [])
    assert desk("jobs", "--local")[1] == [f"{AT}  acme:j1 queued, keys k#1, k#2, k#3"]
    [job] = [json.loads(line) for line in desk("jobs", "--local", "--json")[1]]
    assert (job["key"], job["keys"]) == ("k#1", ["k#1", "k#2", "k#3"])


@pytest.mark.parametrize(
    ("argv", "script", "said"),
    [
        (("jobs", "--local", "--forget", REF), [], "forgot acme:j1, and its keys {} may buy again"),
        (("delete", REF, "--yes"), [(204, {}, b"")], "no final state here, so its keys {} may buy again"),
        (("resume", "--quiet"), [MISSING] * 20, "which frees its keys {} to buy again"),
    ],
)
def test_all_keys_of_a_job_are_freed(desk: Desk, argv: tuple[str, ...], script: Any, said: str) -> None:
    """And each message names them."""
    merged(desk)
    assert said.format("'k#1', 'k#2', 'k#3'") in "".join(desk(*argv, script=script)[2])


def test_all_keys_of_a_job_that_has_ended_are_freed(desk: Desk) -> None:
    """When another state is wanted, and by its date."""
    merged(desk)
    desk("resume", "--quiet", script=[BROKEN])
    said = desk("status", REF, script=[DONE])[2][0]
    assert said.endswith("(the first frees its keys 'k#1', 'k#2', 'k#3', which may then buy again)")
    said = desk("jobs", "--local", "--forget-before", "2028-01-01")[2][0]
    assert said == "forgot 1 job that ended before; 3 keys may buy again"


def test_the_jobs_that_are_skipped_are_forgotten_by_one_line(desk: Desk) -> None:
    """A simulator has ended; the line says which keys it frees, and works."""
    there = ("--base-url", "http://127.0.0.1:28710")
    for number, key in ((1, "k1"), (2, "k2")):
        answer = {"id": f"j{number}", "status": "queued"}
        desk("submit", "acme", "clip", "prompt=a sea", "--once", key, *there, script=[answer])
    code, _, [_, said] = desk("resume", "--quiet")
    line = f"vidpoll jobs --local --forget acme:j1 --forget acme:j2 {' '.join(STORE)}"
    frees = "this frees the keys k1, k2, which may then buy again"
    assert (code, said) == (3, f"to forget 2 skipped jobs (nothing changes at the provider; {frees}): {line}")
    desk(*line.split()[1:-2])
    assert desk.kept() == {}


# -- dismissing -------------------------------------------------------------------------------------------------------


def test_a_submit_of_the_last_minute_is_not_dismissed(desk: Desk) -> None:
    """With a key, or with a number; the list may be late."""
    desk.once()
    desk("submit", "acme", "clip", "prompt=a lake", script=[RESET])
    numbers = [line["submit"]["number"] for line in map(json.loads, desk("resume", "--json", script=[{"rows": []}])[1])]
    desk.clock.now += 1
    for words in (["--dismiss", "k1"], ["--dismiss-number", str(max(numbers))]):
        said = (
            f"{' '.join(words)}: not yet, the submit is only 1 s old and the provider's list may be late. Look for its "
            f"job first (`vidpoll resume {' '.join(STORE)}`); dismissing works from 2027-01-15T08:01:00Z on"
        )
        assert desk("resume", *words) == (2, [], [said])
    desk.clock.now += 59
    assert desk("resume", "--dismiss", "k1", script=[{"rows": []}])[2][0].endswith(
        "is dismissed: its key may buy again"
    )


# -- the provider's list ----------------------------------------------------------------------------------------------


def test_an_empty_list_says_so(desk: Desk) -> None:
    """Nothing on the screen would mean that the job is not there."""
    partial = "acme lists no job; the provider's list may leave out jobs that still run"
    assert desk.shell("jobs", "acme", script=[{"rows": []}]) == (0, [], [f"vidpoll: {partial}"])


def test_what_python_calls_with_a_key_gets_the_line(tmp_path: Path) -> None:
    """adopt and dismiss take a Submission; the message shows the call."""
    with vidpoll.Client(store=tmp_path / "jobs.sqlite3", discover=False) as client:
        with pytest.raises(vidpoll.UsageError) as caught:
            client.store.dismiss("order-42")  # type: ignore[arg-type]
        assert caught.value.message == (
            "submission must be one of client.store.unknown_submits(), got 'order-42': [each] = [each for each in "
            "client.store.unknown_submits() if each.key == 'order-42']; client.store.dismiss(each)"
        )
        with pytest.raises(vidpoll.UsageError, match=r"client\.store\.adopt\(\"ACCOUNT:ID\", each\)"):
            client.store.adopt(REF, None)  # type: ignore[arg-type]
