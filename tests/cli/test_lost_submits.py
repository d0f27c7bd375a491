"""What `resume` shows of submits of unknown outcome: which jobs they may have become, and what ends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from acme_provider import ACME, Plugin, list_request
from shell import Shell

import vidpoll
from vidpoll import parsing
from vidpoll.cli import lost_submits
from vidpoll.cli.lost_submits import LATE, PATIENCE, UNMEASURED, Candidate, candidates
from vidpoll.testing import FakeClock, FakeTransport

START = 1_800_000_000.0
RESET, REFUSED = ConnectionResetError(), ConnectionRefusedError()
STORE = ("--store", "s.sqlite3")


def row(job_id: str, created: float | None, **more: Any) -> dict[str, Any]:
    """A row of the shop's list, created so many seconds after the first submit."""
    return {"id": job_id, "created": None if created is None else START + created, **more}


def snapshot(said: Mapping[str, Any]) -> vidpoll.Snapshot:
    running = vidpoll.State.RUNNING
    return vidpoll.Snapshot(running, job_id=said["id"], created_at=said["created"], raw=said)


def parse_list(response: vidpoll.Response, token: str) -> vidpoll.Page:
    return vidpoll.Page(tuple(snapshot(each) for each in parsing.json_object(response)["rows"]))


def parse_first(response: vidpoll.Response, token: str) -> vidpoll.Page:
    return replace(parse_list(response, token), next="2")


SHOP = replace(ACME, name="shop", list=vidpoll.Operation(list_request, parse_list), list_polling=None)
ALL = replace(SHOP, list_polling=vidpoll.ListPollingSpec())
NO_LIST = replace(SHOP, list=None)


class Wire(FakeTransport):
    """A script that is answered on this clock."""

    def __init__(self, clock: FakeClock, script: Any) -> None:
        super().__init__(script)
        self.clock = clock


class Night:
    """One store, one clock and one provider, for one command after the other."""

    def __init__(self, shell: Shell, provider: vidpoll.Provider = SHOP) -> None:
        self.shell, self.clock = shell, FakeClock(START)
        self.plugins = (Plugin(provider, name="shops"),)

    def __call__(self, *argv: str, script: Any = ()) -> tuple[int, list[str], list[str]]:
        self.wire = Wire(self.clock, script)
        return self.shell(*argv, *STORE, script=self.wire, plugins=self.plugins)

    def lose(self, key: str, prompt: str = "a sea") -> None:
        """A submit whose answer never came."""
        assert self("submit", "shop", "clip", f"prompt={prompt}", "--once", key, script=[RESET])[0] == 3

    def resume(self, *rows: Mapping[str, Any], ahead: float = 0.0, options: tuple[str, ...] = ()) -> list[str]:
        """What it prints, against this list and this clock of the server's."""
        date = formatdate(self.clock.now + ahead, usegmt=True)
        script = {"/jobs": [{"rows": list(rows)}], "": [(200, {"date": date}, b"")]}
        code, out, err = self("resume", *options, script=script)
        assert code == 3
        return out if "--json" in options else [line.removeprefix("vidpoll:").lstrip() for line in err]


@pytest.fixture
def night(shell: Shell) -> Night:
    return Night(shell)


def job(job_id: str, created: float | None, **more: Any) -> vidpoll.Job:
    listed = vidpoll.Job(f"shop:{job_id}")
    listed.listed(snapshot(row(job_id, created, **more)), START)
    return listed


def lost(**sent: Any) -> vidpoll.Submission:
    return vidpoll.Submission(1, "shop", "clip", sent, START, "no answer")


# -- which jobs may be it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skew", "near", "older"),
    [
        (None, ["b", "a", "c", "y", "x", "e", "n"], (UNMEASURED + 1,)),  # no clock is that wrong
        (0.0, ["b", "c", "e", "n"], (4.0, 28.0, 36.0, UNMEASURED + 1)),
        (-30.0, ["y", "a", "b", "c", "e", "n"], (6.0, UNMEASURED - 29)),  # the provider's clock is behind
        (20.0, ["e", "n"], (12.0, 19.0, 24.0, 48.0, 56.0, UNMEASURED + 21)),
    ],
)
def test_the_nearest_first_and_none_that_is_older(
    skew: float | None, near: list[str], older: tuple[float, ...]
) -> None:
    """A job that was created before the submit is another run's."""
    times = {"d": -UNMEASURED - 1, "x": -36.0, "y": -28.0, "a": -4.0, "b": 1.0, "c": 8.0, "e": 90.0, "n": None}
    found = candidates(lost(), [job(name, at) for name, at in times.items()], skew)
    assert [each.job.id for each in found.jobs] == near
    assert found.older == older


def test_only_another_prompt_comes_last() -> None:
    """Providers write the other fields in their own ways, and fill them in."""
    sent = {"prompt": "a long sea that goes on", "seed": -1, "duration": "5", "hd": True, "fps": "24"}
    jobs = [
        job("other", 1.0, prompt="a dog", seed=-1, duration="5", hd=True, fps="24"),
        job("whole", 8.0, input={"prompt": "a long sea  that goes on\n", "seed": "7"}),
        job("cut", 2.0, prompt="a long sea that...", seed=777, duration=5.04, hd="true", fps=24.0),
        job("silent", 4.0),
    ]
    assert candidates(lost(**sent), jobs, 0.0).jobs == (
        Candidate(jobs[2], 2.0, "a long sea that...", "begins as sent"),
        Candidate(jobs[3], 4.0, "", ""),
        Candidate(jobs[1], 8.0, "a long sea that goes on", "as sent"),
        Candidate(jobs[0], 1.0, "a dog", "not as sent"),
    )


@pytest.mark.parametrize(
    ("sent", "listed", "told"),
    [
        ("a sea", "a sea", "as sent"),
        ("a sea...", "a sea...", "as sent"),
        ("a sea… sha256:ab (900 bytes)", "a sea at dusk", "as sent"),  # the store has the beginning
        ("a sea… sha256:ab (900 bytes)", "a s…", "begins as sent"),
        ("a sea at dusk", "a sea…", "begins as sent"),
        ("a sea at dusk", "a dog…", "not as sent"),
        ("a sea at dusk", "a sea", ""),  # cut without a mark, or another prompt
        ("a sea", "a sea, cinematic", ""),
        ("a sea", "...", ""),
        ("a sea", "", ""),
        ("like https://a.example/1.jpg", "like https://cdn.example/7.jpg", ""),
        ("sea.txt sha256:ab (3 bytes)", "a sea", ""),
        (7, "a sea", ""),
    ],
)
def test_a_prompt_differs_only_if_its_text_does(sent: object, listed: str, told: str) -> None:
    """One that is cut, or that cannot be compared, is not another."""
    [found] = candidates(lost(prompt=sent), [job("j", 1.0, prompt=listed)], 0.0).jobs
    assert found.told == told


def test_a_long_prompt_is_compared_by_what_is_kept_of_it(night: Night) -> None:
    """The store has its first characters and a hash."""
    long = "a sea " * 200
    night.lose("k1", long)
    said = night.resume(row("j1", 8.0, prompt=long.strip()), row("j2", 3.0, prompt="a dog"))
    assert ["shop:j1" in said[1], "(as sent)" in said[1], "(not as sent)" in said[2]] == [True] * 3


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_a_submit_of_the_first_seconds_has_no_line_that_dismisses_it(night: Night) -> None:
    """Lists are late; older jobs are counted, and none of them can be adopted by a line."""
    night.lose("k1")
    night.clock.now += 4
    told = night.resume(row("x", -36.0), row("y", -28.0))
    why = "the connection failed (ConnectionResetError)"
    adopt, again = (f"vidpoll resume {words}{' '.join(STORE)}" for words in ("--adopt shop:ID --key k1 ", ""))
    young = "The submit is only 4 s old, and the provider's list may leave out jobs that still run"
    assert told == [
        f"a submit of unknown outcome, on 2027-01-15T08:00:00Z: shop clip prompt='a sea', key k1 ({why})",
        "2 older jobs of the list are not it: created before the submit, the last one by 28 s",
        f"The provider's list shows no job that it may be. If you find its job: {adopt}",
        f"{young}: look again in some minutes, before you dismiss it: {again}",
    ]
    night.clock.now += 4
    told = night.resume(row("x", -36.0), row("y", -28.0), row("z", 0.0, prompt="a sea"))
    assert told[1] == (
        "it may be shop:z running, created 2027-01-15T08:00:00Z, at the time of the submit, prompt='a sea' (as sent): "
        f"vidpoll resume --adopt shop:z --key k1 {' '.join(STORE)}"
    )
    assert [line.partition(":")[0] for line in told[2:]] == [
        "2 older jobs of the list are not it",
        "The submit is only 8 s old, and the provider's list may leave out jobs that still run",
    ]


def test_it_is_dismissed_once_its_list_is_not_late_any_more(shell: Shell) -> None:
    """A list that has running jobs, too, shows it within a minute."""
    night = Night(shell, ALL)
    night.lose("k1")
    assert night.resume()[-1].startswith("The submit is only 0 s old: look again in a minute, before you dismiss it: ")
    night.clock.now += LATE
    told = night.resume()
    line = f"vidpoll resume --dismiss k1 {' '.join(STORE)}"
    assert told[-1] == f"If it never arrived, dismiss it, and its key may buy again: {line}"
    assert night(*line.split()[1:-2])[2][0].endswith("(key k1) is dismissed: its key may buy again")


def test_the_clock_of_the_provider_is_counted_in(night: Night) -> None:
    """The server is asked once, and only if its list has times."""
    night.lose("k1")
    told = night.resume(row("x", 60.0), row("z", 98.0), ahead=90.0)
    assert told[2] == (
        "1 older job of the list is not it: created 30 s before the submit; the provider's clock is 90 s ahead, which "
        "is counted in"
    )
    assert "it may be shop:z running, created 2027-01-15T08:01:38Z, 8 s after the submit" in told[1]
    assert len(night.wire.sent) == 2
    night.resume(row("x", None))
    assert len(night.wire.sent) == 1


def test_machines_are_told_the_same(night: Night) -> None:
    """With the names that were there before, and more."""
    night.lose("k1")
    night.clock.now += 12
    [line] = night.resume(row("x", -28.0), row("z", 8.0, prompt="a sea"), options=("--json",))
    said = json.loads(line)
    [candidate] = said.pop("candidates")
    number = said["submit"]["number"]
    night.clock.now += LATE
    assert night("resume", "--dismiss-number", str(number))[:2] == (0, ["nothing is left to wait for"])
    assert {name: candidate[name] for name in ("ref", "seconds_after", "same", "other", "created_at")} == {
        "ref": "shop:z",
        "seconds_after": 8.0,
        "same": ["prompt"],
        "other": [],
        "created_at": "2027-01-15T08:00:08Z",
    }
    assert said == {
        "submit": {
            "account": "shop",
            "operation": "clip",
            "at": "2027-01-15T08:00:00Z",
            "number": number,
            "key": "k1",
            "sent": {"prompt": "a sea"},
            "reason": "the connection failed (ConnectionResetError)",
            "age": 12.0,
            "dismiss_from": "2027-01-15T08:01:00Z",
        },
        "older": 1,
        "older_by": 28.0,
        "clock_ahead": 0.0,
        "list_shows_running": None,
        "list_problem": None,
    }


def test_many_candidates_are_not_all_printed(night: Night) -> None:
    """The nearest ten are; machines get all."""
    night.lose("k1")
    rows = [row(f"j{number}", float(number)) for number in range(1, 14)]
    told = night.resume(*rows)
    assert [line.split()[3] for line in told[1:11]] == [f"shop:j{number}" for number in range(1, 11)]
    assert told[11] == f"3 further jobs of the list, less near: vidpoll resume --json {' '.join(STORE)}"
    assert len(json.loads(night.resume(*rows, options=("--json",))[0])["candidates"]) == 13


def test_a_job_with_the_prompt_of_another_submit_is_offered_there_only(night: Night) -> None:
    """Each submit has its own job; one with a prompt of none of them is shown, without a line that adopts it."""
    for key, prompt in (("k1", "a sea"), ("k2", "a lake"), ("k3", "a sea")):
        night.lose(key, prompt)
    rows = [row(name, 1.0, prompt=prompt) for name, prompt in (("s", "a sea"), ("l", "a lake"), ("d", "a dog"))]
    said = [json.loads(line) for line in night.resume(*rows, options=("--json",))]
    offered = {each["submit"]["key"]: [found["ref"] for found in each["candidates"]] for each in said}
    assert offered == {"k1": ["shop:s", "shop:d"], "k2": ["shop:l", "shop:d"], "k3": ["shop:s", "shop:d"]}
    told = night.resume(*rows)
    assert sorted(line.partition("--adopt ")[2].split(" --store")[0] for line in told if "--adopt" in line) == [
        "shop:l --key k2", "shop:s --key k1", "shop:s --key k3",
    ]  # fmt: skip
    less = (
        "less likely: shop:d running, created 2027-01-15T08:00:01Z, 1 s after the submit, prompt='a dog' (not as sent)"
    )
    assert told.count(less) == 3


def test_a_job_that_is_older_than_the_submit_of_its_prompt_is_not_hidden(night: Night) -> None:
    """It is not offered there, so it is shown here."""
    night.lose("k1", "a sea")
    night.clock.now += 60
    night.lose("k2", "a lake")
    said = [json.loads(line) for line in night.resume(row("l", 1.0, prompt="a lake"), options=("--json",))]
    offered = {each["submit"]["key"]: [found["ref"] for found in each["candidates"]] for each in said}
    assert offered == {"k1": ["shop:l"], "k2": []}


def test_jobs_that_have_another_prompt_leave_the_line_that_adopts_any(night: Night) -> None:
    """A provider may rewrite the prompt."""
    night.lose("k1")
    told = night.resume(row("d", 1.0, prompt="a dog"))
    line = f"vidpoll resume --adopt shop:ID --key k1 {' '.join(STORE)}"
    assert told[2] == f"None of these has the prompt that was sent. If you find its job: {line}"


# -- the list ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "sure"),
    [
        ([9.0, 5.0, -3.0, 1.0], True),  # newest first, down to one that is older; what comes then is not searched
        ([9.0, 5.0, 1.0, 0.5], False),  # it does not reach the submit
        ([-9.0, -5.0, -3.0, 1.0], False),  # oldest first
        ([9.0, None, -3.0, 1.0], False),
        ([None, None, None, None], False),
        ([9.0, 5.0, 1.0], True),  # the whole list
        ([-9.0, -5.0, -3.0], True),
    ],
)
def test_a_list_that_is_cut_dismisses_no_submit_that_it_may_hide(
    night: Night, monkeypatch: pytest.MonkeyPatch, times: list[float | None], sure: bool
) -> None:
    """Only the first rows are searched, and the message says so."""
    monkeypatch.setattr(lost_submits, "LISTED", 3)
    night.lose("k1")
    night.clock.now += LATE
    rows = [row(f"j{number}", at) for number, at in enumerate(times)]
    told = night.resume(*rows)
    cut = "Only the first 3 rows of the provider's list were searched" if len(times) > 3 else None
    assert (cut is None) != any(line.startswith(cut or " ") for line in told)
    assert ("--dismiss" in told[-1]) is sure
    if not sure:
        assert told[-1] == (
            "A row that was not searched may be its job: look in the provider's dashboard or log before you dismiss it"
        )
    said = json.loads(night.resume(*rows, options=("--json",))[0])
    assert (said["list_problem"], said["submit"]["dismiss_from"] is not None) == (cut, sure)


def test_a_list_that_breaks_in_the_middle_is_cut(shell: Shell) -> None:
    """Its rows are shown, and nothing is dismissed because of them."""
    night = Night(shell, replace(SHOP, list=vidpoll.Operation(list_request, parse_first)))
    night.lose("k1")
    night.clock.now += LATE
    code, _, err = night("resume", script={"page=2": [(400, {})], "/jobs": [{"rows": [row("z", 1.0)]}]})
    told = [line.removeprefix("vidpoll:").lstrip() for line in err]
    assert (code, "it may be shop:z" in told[1]) == (3, True)
    assert told[2].startswith("Only 1 row of the provider's list could be read: shop list: HTTP 400")
    assert told[3].startswith("A row that was not searched may be its job: ")


@pytest.mark.parametrize("how", ["--timeout 0", "no Date", "no answer"])
def test_clocks_that_were_not_compared_exclude_no_job_of_the_day(night: Night, how: str) -> None:
    """The provider's clock is half a minute behind, and the true job seems older."""
    night.lose("k1")
    night.clock.now += LATE
    there: Any = {"no Date": [(200, {}, b"")]}.get(how, [RESET])
    rows = {"rows": [row("z", -25.0, prompt="a sea"), row("x", -2 * UNMEASURED)]}
    options = how.split() if how.startswith("--") else []
    _, _, err = night("resume", *options, script={"/jobs": [rows], "": there})
    told = [line.removeprefix("vidpoll:").lstrip() for line in err]
    assert told[1] == (
        "it may be shop:z running, seems older (created 2027-01-15T07:59:35Z, 25 s before the submit), but the clocks "
        f"were not compared, prompt='a sea' (as sent): vidpoll resume --adopt shop:z --key k1 {' '.join(STORE)}"
    )
    assert told[2] == "1 older job of the list is not it: created 2 days before the submit"
    assert told[3].startswith("The clocks were not compared, so a job that seems older may be it. If it is none of ")


def test_the_list_is_read_once_for_all_submits_of_an_account(night: Night) -> None:
    """At a dead address for a few seconds, and the submits are shown before."""
    for key in ("k1", "k2", "k3"):
        night.lose(key)
        night.clock.now += 70
    begun = night.clock.now
    code, out, err = night("resume", script=[REFUSED])
    assert (code, out) == (3, [])
    assert 0 < night.clock.now - begun <= PATIENCE
    told = [line.removeprefix("vidpoll: ") for line in err]
    assert [line.partition(",")[0] for line in told[:3]] == ["a submit of unknown outcome"] * 3
    tries = [line for line in told if "no usable response" in line]
    assert told[3 : 3 + len(tries)] == tries
    rest = told[3 + len(tries) :]
    assert [line.partition("(")[2] for line in rest[::3]] == ["key k1):", "key k2):", "key k3):"]
    unread = "  The provider's list was not read: shop list: the connection failed"
    assert [line.startswith(unread) for line in rest[1::3]] == [True] * 3
    assert [line.rpartition(": ")[2] for line in rest[2::3]] == [
        f"vidpoll resume --dismiss {key} {' '.join(STORE)}" for key in ("k1", "k2", "k3")
    ]


def test_patience_that_was_named_holds_for_the_list(night: Night) -> None:
    """Above the ten seconds."""
    night.lose("k1")
    begun = night.clock.now
    night("resume", "--patience", "40", script=[REFUSED])
    assert PATIENCE < night.clock.now - begun <= 40.0


def test_a_provider_without_a_list(shell: Shell) -> None:
    """There is its dashboard."""
    night = Night(shell, NO_LIST)
    night.lose("k1")
    told = night.resume()
    assert told[1].startswith("The provider's list cannot be requested here (shop has no list operation; it has: ")
    assert ": look in its dashboard or log. If you find its job: vidpoll resume --adopt shop:ID --key k1" in told[1]
