"""A provider that answers the submits of two rows with one id: it merges equal ones, or its server counts anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from batch_runs import Night, Server, night

from vidpoll.events import Completed
from vidpoll.model import Response
from vidpoll.testing import FakeClock

EQUAL = [{"key": key, "prompt": "a lake"} for key in "ab"]
UNEQUAL = [{"key": key, "prompt": key} for key in "ab"]
FOUR = [{"key": key, "prompt": key} for key in "abcd"]


@dataclass
class OneId(Server):
    """Gives every job the same id. Its last submit counts."""

    def _submit(self, prompt: str) -> Response:
        self.sent.append(prompt)
        self.jobs["n1"] = (prompt, self.clock.now + self.seconds, 1)
        return Response(200, {}, json.dumps({"id": "n1", "status": "queued"}).encode())


def rows(n: Night) -> list[tuple[str, str, str | None, str]]:
    """The rows of the batch in the store."""
    kept = n.client._keeper.store.batch_rows("night")  # type: ignore[union-attr]
    return [(row.row, row.state, row.ref, row.problem) for row in kept.values()]


@pytest.fixture
def server() -> Server:
    return OneId(FakeClock())


def test_equal_rows_whose_submits_are_merged_both_get_the_video(tmp_path: Path, server: Server) -> None:
    """Each is sent once, has its file, and calls the hooks once; a second run sends nothing."""
    n = night(tmp_path, server=server)
    results = {row.key: row for row in n.batch(EQUAL)}
    assert [(key, results[key].state, len(results[key].paths)) for key in "ab"] == [
        ("a", "completed", 1),
        ("b", "completed", 1),
    ]
    assert results["a"].paths != results["b"].paths
    assert rows(n) == [("a", "completed", "shop:n1", ""), ("b", "completed", "shop:n1", "")]
    assert list(night(tmp_path, server=server).batch(EQUAL)) == []
    assert server.sent == ["a lake"] * 2


def test_a_running_row_whose_id_is_given_to_an_unequal_one_has_failed(tmp_path: Path, server: Server) -> None:
    """Its job is lost at the server. The video is that of the other row; nothing is sent again."""
    n = night(tmp_path, server=server)
    results = {row.key: row for row in n.batch(UNEQUAL)}
    assert [(key, results[key].state) for key in "ab"] == [("a", "failed"), ("b", "completed")]
    assert results["a"].problem == "the server has given the id of its job, shop:n1, to the row b"
    assert [(name, state, ref, bool(said)) for name, state, ref, said in rows(n)] == [
        ("a", "failed", "shop:n1", True),
        ("b", "completed", "shop:n1", False),
    ]
    assert list(night(tmp_path, server=server).batch(UNEQUAL)) == []
    assert server.sent == ["a", "b"]


def test_a_replaced_row_is_not_polled_any_more(tmp_path: Path, server: Server) -> None:
    """Only a request that is under way at that moment still ends. The verdict is that of the last row, once."""
    n, heard = night(tmp_path, server=server), []
    results = {row.key: row.state for row in n.batch(FOUR, on_event=heard.append)}
    assert results == {"a": "failed", "b": "failed", "c": "failed", "d": "completed"}
    assert [event.ref for event in heard if isinstance(event, Completed)] == ["shop:n1"]
    assert [job.ref for hook, job, event in n.ears.heard if str(event) == "shop:n1 answered: done"] == ["shop:n1"]


def test_a_completed_row_keeps_its_video_when_its_id_is_given_anew(tmp_path: Path, server: Server) -> None:
    """It is settled, so the next row changes nothing of it."""
    n = night(tmp_path, server=server)
    results = {row.key: row for row in n.batch(UNEQUAL, slots={"shop": 1})}
    assert [(key, results[key].state) for key in "ab"] == [("a", "completed"), ("b", "completed")]
    assert rows(n) == [("a", "completed", "shop:n1", ""), ("b", "completed", "shop:n1", "")]
    assert server.sent == ["a", "b"]


@pytest.mark.parametrize("given", [EQUAL, UNEQUAL])
def test_the_next_run_sends_nothing_again(tmp_path: Path, server: Server, given: list[dict[str, str]]) -> None:
    """After Ctrl-C while the jobs run."""
    n = night(tmp_path, server=server)
    get = n.clock.get

    def interrupted(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if len(server.sent) == 2 and not busy:
            raise KeyboardInterrupt
        return get(inbox, timeout, busy=busy)

    n.clock.get = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        list(n.batch(given))
    n.client.close()
    server.clock = FakeClock(n.clock.now)
    m = night(tmp_path, server=server)
    list(m.batch(given))
    assert {row[1] for row in rows(m)} == ({"completed"} if given is EQUAL else {"completed", "failed"})
    assert len(server.sent) == 2
