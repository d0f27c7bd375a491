"""What a store promises about submits: the intent before the POST, the key, and a submit without a response."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...storage.protocol import KeptJob, Store, Submission, WantedFiles
from .base import NOW, ONE, ORIGIN, TWO, Base, saved

SENT = {"prompt": "a lighthouse"}


def begun(store: Store, key: str = "") -> int:
    """A submit that is under way."""
    number = store.begin(ORIGIN, "clip", SENT, key=key)
    assert isinstance(number, int)
    return number


def made(store: Store, number: int, ref: str = ONE, key: str = "") -> None:
    """The submit has become a job."""
    store.submitted(number, KeptJob(ref, ORIGIN, "clip", SENT, key=key))


def check_replaced(found: object, operation: str, sent: object) -> None:
    """The key is in use, and nothing of the other job is returned for it."""
    assert isinstance(found, KeptJob)
    assert (found.replaced, found.operation, found.sent, found.ended_at) == (True, operation, sent, None)
    assert not found.job.final


class Submits(Base):
    """Submits and their keys."""

    def test_a_submit_that_is_under_way_is_not_unknown(self) -> None:
        """Neither for its owner nor for others; a refused submit is removed."""
        one, two = self.owner(), self.owner()
        number = begun(one)
        assert (one.submits(), two.submits()) == ([], [])
        one.refused(number)
        assert (one.submits(), one.in_flight("acme")) == ([], 0)

    def test_a_submit_becomes_a_job(self) -> None:
        """With its kind, its fields and its key."""
        one, two = self.owner(), self.owner()
        self.at += 3
        made(one, begun(one, "k"), key="k")
        found = two.get(ONE)
        assert found is not None
        assert (found.operation, found.sent, found.key, found.added_at) == ("clip", SENT, "k", NOW + 3)
        assert two.submits() == []

    def test_submitted_twice_is_as_once(self) -> None:
        """A commit may be repeated if its response was lost."""
        one = self.owner()
        number = begun(one, "k")
        made(one, number, key="k")
        one.save([saved(ONE, "drawing")])
        made(one, number, key="k")
        assert [(each.ref, each.job.stage) for each in one.jobs()] == [(ONE, "drawing")]

    def test_an_id_that_is_given_anew_is_another_job(self) -> None:
        """A restarted server counts from 1 again: the new job inherits nothing."""
        one = self.owner()
        made(one, begun(one))
        one.want(WantedFiles(ONE, "/clips", ("video",)))
        one.end([saved(ONE, done=True)])
        self.at += 60
        made(one, begun(one))
        assert [(each.ref, each.ended_at, each.added_at) for each in one.jobs()] == [(ONE, None, NOW + 60)]
        assert one.wanted() == []

    def test_a_job_that_is_kept_before_the_response_to_its_submit_is_read(self) -> None:
        """A webhook was faster: its verdict, that it was reported, and the wanted files stay."""
        one, two = self.owner(), self.owner()
        for ref, key in ((ONE, "k"), (TWO, "")):
            number, files = begun(one, key), WantedFiles(ref, "/clips", ("video",))
            two.enter([(ref, ORIGIN, {})])
            two.end([saved(ref, done=True)])
            two.told([ref])
            two.want(files)
            before = two.get(ref)
            one.submitted(
                number, KeptJob(ref, ORIGIN, "clip", SENT, {"submitted_at": NOW, "cost": [2, 0, "USD"]}, key=key)
            )
            after = one.get(ref)
            assert before is not None
            assert after is not None
            said = {**before.facts, "submitted_at": NOW, "cost": [2, 0, "USD"]}
            assert {name: after.facts[name] for name in said} == said
            assert after == replace(before, operation="clip", sent=SENT, key=key, submitted_at=NOW, facts=after.facts)
            assert (one.claim([ref]), files in one.wanted(), one.submits()) == (set(), True, [])
        assert one.keyed("acme", "k") == one.get(ONE)

    def test_a_job_that_was_kept_before_the_submit_began_is_another_one(self) -> None:
        """The server counts anew."""
        one = self.owner()
        one.enter([(ONE, ORIGIN, {})])
        one.end([saved(ONE, done=True)])
        self.at += 1
        made(one, begun(one))
        assert [(each.ended_at, each.added_at) for each in one.jobs()] == [(None, NOW + 1)]

    def test_keys_whose_submits_the_provider_has_merged_are_one_job(self) -> None:
        """Both stay in use: neither is bought again, whatever becomes of the job."""
        one, two = self.owner(), self.owner()
        made(one, begun(one, "k"), key="k")
        one.want(WantedFiles(ONE, "/clips", ("video",)))
        one.save([saved(ONE, "drawing")])
        for _ in range(2):  # the commit of the second one may be repeated
            made(two, 7, key="other")
        for step in (
            lambda: None,
            lambda: one.save([saved(ONE, "upscaling")]),
            lambda: one.end([saved(ONE, done=True)]),
        ):
            step()
            [job] = one.jobs()
            found = [two.keyed("acme", key) for key in ("k", "other")]
            assert found == [replace(job, key=key) for key in ("k", "other")]
            assert found == [one.begin(ORIGIN, "clip", {}, key=key) for key in ("k", "other")]
            assert two.keys() == two.keys(ONE) == {("acme", "k"): ONE, ("acme", "other"): ONE}
        assert (job.job.state, two.in_flight("acme")) == ("completed", 0)
        assert one.wanted() == [WantedFiles(ONE, "/clips", ("video",))]

    def test_a_key_of_a_job_that_has_ended_is_still_its_key(self) -> None:
        """A server that counts anew gives its id to another job: each key is the job that it has bought."""
        one, two = self.owner(), self.owner()
        made(one, begun(one, "k"), key="k")
        made(one, begun(one, "twin"), key="twin")
        one.end([saved(ONE, "drawing", done=True)])
        first = one.keyed("acme", "k")
        made(two, begun(two, "other"), key="other")
        made(one, 7, key="k")  # a commit that is repeated very late
        second = two.get(ONE)
        assert isinstance(first, KeptJob)
        assert second is not None
        assert (second.key, second.ended_at) == ("other", None)
        assert [one.keyed("acme", key) for key in ("k", "twin", "other")] == [
            first,
            replace(first, key="twin", requests=0, version=0),
            second,
        ]
        assert (first.job.state, [each.ref for each in one.jobs()], one.in_flight("acme")) == ("completed", [ONE], 1)
        made(two, begun(two))
        found: Any = one.begin(ORIGIN, "clip", {}, key="other")
        assert (found.ref, found.key) == (ONE, "other")

    def test_a_key_whose_unfinished_job_has_lost_its_id_is_replaced(self) -> None:
        """Other fields are another job: it inherits nothing, its verdict is its own, and the old key is not free."""
        one = self.owner()
        made(one, begun(one, "k"), key="k")
        one.save([saved(ONE, "drawing")])
        number = one.begin(ORIGIN, "still", {"prompt": "a lake"}, key="other")
        assert isinstance(number, int)
        one.submitted(number, KeptJob(ONE, ORIGIN, "still", {"prompt": "a lake"}, key="other"))
        job = one.get(ONE)
        assert job is not None
        assert (job.job.stage, job.key, job.operation) == (None, "other", "still")
        assert one.keyed("acme", "other") == job
        one.end([saved(ONE, done=True)])
        lost = one.keyed("acme", "k")
        check_replaced(lost, "clip", SENT)
        assert one.begin(ORIGIN, "clip", SENT, key="k") == lost
        one.submitted(7, KeptJob(ONE, ORIGIN, "clip", {"prompt": "a hill"}, key="third"))
        check_replaced(one.keyed("acme", "k"), "clip", SENT)
        ended: Any = one.keyed("acme", "other")
        assert (ended.job.state, ended.operation, ended.replaced) == ("completed", "still", False)

    def test_a_key_that_is_stored_late_does_not_change_the_job_of_another_submit(self) -> None:
        """The first submit could not be stored, and another process was faster. Equal fields are the same job."""
        one, two = self.owner(), self.owner()
        number = begun(one, "k")
        self.at += 5
        made(two, begun(two, "other"), key="other")
        one.submitted(number, KeptJob(ONE, ORIGIN, "still", {}, key="k"), NOW + 1)
        one.submitted(begun(one, "twin"), KeptJob(ONE, ORIGIN, "clip", SENT, key="twin"), NOW + 1)
        check_replaced(one.keyed("acme", "k"), "still", {})
        assert [one.keyed("acme", key) for key in ("twin", "other")] == [
            replace(one.jobs()[0], key=key) for key in ("twin", "other")
        ]

    def test_which_keys_a_dropped_job_frees(self) -> None:
        """All of its own; those of a former job with its id are freed when they are pruned."""
        one = self.owner()
        made(one, begun(one, "former"), key="former")
        one.end([saved(ONE, done=True)])
        self.at += 60
        for key in ("k", "other"):
            made(one, begun(one, key), key=key)
        keys = ("former", "k", "other")
        assert one.keys() == {("acme", "former"): "", ("acme", "k"): ONE, ("acme", "other"): ONE}
        assert (one.keys(ONE), one.keys(TWO)) == ({("acme", "k"): ONE, ("acme", "other"): ONE}, {})
        one.drop(ONE, strange=True)
        assert [one.keyed("acme", key) is None for key in keys] == [False, False, False]
        one.drop(ONE)
        assert [one.keyed("acme", key) is None for key in keys] == [False, True, True]
        assert (one.keys(), one.keys(ONE)) == ({("acme", "former"): ""}, {})
        one.drop(ONE)
        assert (one.prune(NOW), one.keyed("acme", "former") is None) == (0, False)
        assert (one.prune(NOW + 1), one.keyed("acme", "former")) == (0, None)

    def test_a_pruned_job_frees_all_its_keys(self) -> None:
        """It has ended, and was reported."""
        one = self.owner()
        for key in ("k", "other"):
            made(one, begun(one, key), key=key)
        one.end([saved(ONE, done=True)])
        assert one.prune(NOW + 1) == 0
        one.told([ONE])
        assert (one.prune(NOW + 1), one.keyed("acme", "k"), one.keyed("acme", "other")) == (1, None, None)

    def test_a_job_whose_submit_has_moved_keeps_its_other_key(self) -> None:
        """It is not strange: a submit of this store made it."""
        one = self.owner()
        number = begun(one, "k")
        one.lost(number, "reset")
        one.adopt(number, ONE, {})
        made(one, begun(one, "other"), key="other")
        assert one.move_submit(ONE, TWO, {})
        one.drop(ONE, strange=True)
        found: Any = [one.keyed("acme", key) for key in ("k", "other")]
        assert [each.ref for each in found] == [TWO, ONE]

    def test_what_came_after_a_submit_was_answered_is_that_job(self) -> None:
        """A submit that is stored late keeps the facts of a wait that began before it was stored."""
        one = self.owner()
        number = begun(one)
        self.at += 5
        self.enter(one, ONE)
        one.save([saved(ONE, "drawing")])
        one.submitted(number, KeptJob(ONE, ORIGIN, "clip", SENT), NOW + 1)
        assert [(each.operation, each.job.stage) for each in one.jobs()] == [("clip", "drawing")]

    def test_a_lost_submit_is_on_record(self) -> None:
        """With the sent fields, the time, and why the outcome is unknown; the oldest first."""
        one, two = self.owner(), self.owner()
        numbers = [begun(one, "k"), begun(one)]
        for number in reversed(numbers):
            one.lost(number, "reset")
        more = ("acme", "clip", SENT, NOW, "reset", ORIGIN.base_url, "acme")
        expected = [Submission(numbers[0], *more, "k"), Submission(numbers[1], *more)]
        assert sorted(two.submits(), key=lambda each: -len(each.key)) == expected
        self.at += 1
        one.lost(begun(one), "later")
        assert two.submits()[-1].reason == "later"

    def test_a_submit_of_one_that_is_gone_is_unknown(self) -> None:
        """The provider may have received it."""
        one, two = self.owner(), self.owner()
        number = begun(one, "k")
        self.killed(one)
        [found] = two.submits()
        assert (found.number, bool(found.reason)) == (number, True)
        assert two.keyed("acme", "k") == found

    def test_a_key_is_one_job(self) -> None:
        """While the submit is under way, when it is lost, and when it is a job: no second submit begins."""
        one, two = self.owner(), self.owner()
        number = begun(one, "k")
        for _ in range(2):
            found: Any = two.begin(ORIGIN, "clip", {"prompt": "another"}, key="k")
            assert (found.number, found.reason, found.sent) == (number, "", SENT)
        one.lost(number, "reset")
        assert two.begin(ORIGIN, "clip", {}, key="k") == two.keyed("acme", "k") == two.submits()[0]
        one.adopt(number, ONE, {})
        assert two.begin(ORIGIN, "clip", {}, key="k") == two.keyed("acme", "k") == two.get(ONE)
        assert (two.submits(), two.keyed("acme", "other"), two.keyed("token", "k")) == ([], None, None)

    def test_a_key_is_free_again(self) -> None:
        """After a refusal, and when its job is dropped."""
        one, two = self.owner(), self.owner()
        one.refused(begun(one, "k"))
        made(two, begun(two, "k"), key="k")
        two.drop(ONE)
        assert isinstance(one.begin(ORIGIN, "clip", {}, key="k"), int)

    def test_submits_without_a_key_are_all_different(self) -> None:
        """Their numbers are different, too."""
        one, two = self.owner(), self.owner()
        assert len({begun(store) for store in (one, two) for _ in range(5)}) == 10

    def test_a_lost_submit_is_sent_again_by_one(self) -> None:
        """Only the first owner begins it again; a settled submit cannot begin again."""
        one, two = self.owner(), self.owner()
        number = begun(one, "k")
        one.lost(number, "reset")
        [lost] = two.submits()
        assert (one.begin_again(lost), two.begin_again(lost), two.submits()) == (number, lost, [])
        one.refused(number)
        assert one.begin_again(lost) == lost

    def test_an_unknown_submit_is_adopted_once(self) -> None:
        """It becomes a job with its key; the job may already be stored."""
        one, two = self.owner(), self.owner()
        self.enter(two, ONE)
        number = begun(one, "k")
        one.lost(number, "reset")
        assert (two.adopt(number, ONE, {}), one.adopt(number, TWO, {})) == (True, False)
        found = one.get(ONE)
        assert found is not None
        assert (found.operation, found.sent, found.key, one.submits(), one.get(TWO)) == ("clip", SENT, "k", [], None)

    def test_a_job_of_one_key_is_not_adopted_for_another(self) -> None:
        """Else the second key would be free, and its job bought again."""
        one = self.owner()
        made(one, begun(one, "k"), key="k")
        number = one.begin(ORIGIN, "clip", {"prompt": "a lake"}, key="other")
        assert isinstance(number, int)
        one.lost(number, "reset")
        assert not one.adopt(number, ONE, {})
        assert [each.key for each in one.submits()] == ["other"]

    def test_a_merged_submit_is_adopted_as_the_job_of_another_key(self) -> None:
        """Its fields are equal. Both keys are the job then, also if it has ended."""
        one, two = self.owner(), self.owner()
        made(one, begun(one, "k"), key="k")
        for key in ("other", "late"):
            number = begun(two, key)
            two.lost(number, "reset")
            assert (one.adopt(number, ONE, {}), one.adopt(number, ONE, {})) == (True, False)
            one.end([saved(ONE, done=True)])
        [job] = two.jobs()
        assert [two.keyed("acme", key) for key in ("k", "other", "late")] == [
            replace(job, key=key) for key in ("k", "other", "late")
        ]
        assert (job.key, two.submits()) == ("k", [])

    def test_a_job_that_was_adopted_by_mistake_gives_its_submit_away(self) -> None:
        """The key moves in one step, so it is never free; the wrong job stays, as one that was only waited for."""
        one, two = self.owner(), self.owner()
        number = begun(one, "k")
        one.lost(number, "reset")
        one.adopt(number, ONE, {})
        assert (two.move_submit(ONE, TWO, {"v": 1}), two.move_submit(ONE, TWO, {})) == (True, False)
        wrong, right = one.get(ONE), one.get(TWO)
        assert wrong is not None
        assert right is not None
        assert (wrong.operation, wrong.sent, wrong.key) == (None, {}, "")
        assert (right.operation, right.sent, right.key, right.facts) == ("clip", SENT, "k", {"v": 1})
        assert right.origin == wrong.origin
        assert one.keyed("acme", "k") == right

    def test_a_job_whose_id_came_with_its_submit_gives_nothing_away(self) -> None:
        """It is certain; and a job with a submit of its own takes none."""
        one = self.owner()
        one.submitted(begun(one, "k"), KeptJob(ONE, ORIGIN, "clip", SENT, {"submitted_at": NOW}, key="k"))
        assert not one.move_submit(ONE, TWO, {})
        number = begun(one, "other")
        one.lost(number, "reset")
        one.adopt(number, TWO, {})
        assert not one.move_submit(TWO, ONE, {})
        assert [each.key for each in one.jobs()] == ["k", "other"]

    def test_a_submit_that_was_forgotten_loses_no_job(self) -> None:
        """The job is stored, because its id is known."""
        one = self.owner()
        number = begun(one)
        one.refused(number)
        made(one, number)
        assert [each.ref for each in one.jobs()] == [ONE]

    def test_pruning_dismisses_no_submit(self) -> None:
        """With or without a key: it may have been received, and its key would buy again."""
        one = self.owner()
        for key in ("k", ""):
            one.lost(begun(one, key), "reset")
        begun(one, "under way")
        assert one.prune(NOW + 60) == 0
        assert (sorted(each.key for each in one.submits()), one.in_flight("acme")) == (["", "k"], 3)
        found = one.begin(ORIGIN, "clip", SENT, key="k")
        assert isinstance(found, Submission)

    def test_in_flight(self) -> None:
        """The jobs of an account without a verdict, plus its submits that are under way or unknown."""
        one, two = self.owners()
        begun(one)
        one.lost(begun(one), "reset")
        one.end([saved(ONE, done=True)])
        assert (two.in_flight("acme"), two.in_flight("token")) == (4, 0)

    def test_a_closed_owner_leaves_its_submits_unknown(self) -> None:
        """At once, although its process lives on: it closes the store only after its last submit, if it can."""
        one, two = self.owner(), self.owner()
        number, other = begun(one, "k"), begun(two)
        one.close()
        [left] = two.submits()
        assert (left.number, left.key, bool(left.reason), two.keyed("acme", "k")) == (number, "k", True, left)
        two.refused(other)
