"""One `--timeout` for all of a command: what is submitted, asked, waited for and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acme_provider import DONE, DRAWING, REF, UNAVAILABLE
from shell import MEDIA, Shell

from vidpoll.cli.deadline import Deadline


class Watch:
    """A clock that is set by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_the_time_that_is_left() -> None:
    """All of it for a second, then what is left, never less than nothing; a look costs the files nothing."""
    clock: Any = Watch()
    some, none, look = (Deadline(clock, timeout) for timeout in (12.0, None, 0.0))
    assert (some.left, none.left, look.left, look.over) == (12.0, None, 0.0, True)
    clock.now += 0.5
    assert (some.left, some.over) == (12.0, False)
    clock.now += 4.5
    assert (some.left, none.left) == (7.0, None)
    clock.now += 50.0
    assert (some.left, some.over, none.over) == (0.0, True, False)


def test_a_look_saves_what_is_there(shell: Shell, tmp_path: Path) -> None:
    """`--timeout 0` asks once; a job that is completed by then has its file."""
    code, _, err = shell("wait", REF, "--timeout", "0", "--download", "d", script={**MEDIA, "": [DONE]})
    assert (code, err, len(list((tmp_path / "d").iterdir()))) == (0, [], 1)


def test_the_files_of_all_jobs_share_the_time(shell: Shell) -> None:
    """The second job's file has what the first one left: nothing, here."""
    script: Any = {"/files/": [UNAVAILABLE], "": [DONE]}
    code, _, err = shell("download", REF, "acme:j2", "--timeout", "7", "--quiet", script=script)
    assert code == 1
    assert ["not done in time" in line for line in err] == [True, True]


def test_a_submit_and_its_wait_share_the_time(shell: Shell) -> None:
    """What the submit takes is not there for the wait any more."""
    refused = [UNAVAILABLE] * 3
    words = ["submit", "acme", "clip", "prompt=x", "--count", "2", "--wait", "--timeout", "60", "--quiet"]
    script = {"/quota": [*refused, {"credits": 500.0}], "/jobs/": [DRAWING], "/jobs": [{"id": "j7"}, {"id": "j8"}]}
    code, _, err = shell(*words, script=script)
    assert code == 3
    waited = float(err[-1].partition("no verdict after ")[2].partition(" s")[0])
    assert waited < 60.0
