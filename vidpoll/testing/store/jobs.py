"""What a store promises about jobs, their facts and verdicts, and about wanted files."""

from __future__ import annotations

import json

from ...storage.protocol import AGAIN, KeptJob, Origin, Saved, StoreError, WantedFiles
from .base import NOW, ONE, ORIGIN, REFS, THREE, TWO, Base, newer, raised, saved


class Jobs(Base):
    """Jobs, facts, verdicts, files."""

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def test_a_job_is_as_it_was_entered(self) -> None:
        """Another owner reads the same values."""
        one, two = self.owner(), self.owner()
        facts = json.loads(json.dumps(saved(ONE, "drawing").facts))
        kept = KeptJob(ONE, ORIGIN, facts=facts, submitted_at=None, added_at=NOW)
        assert one.enter([(ONE, ORIGIN, facts)]) == {ONE: kept}
        assert two.get(ONE) == kept
        assert (two.jobs(), two.get(TWO)) == ([kept], None)

    def test_entered_twice_is_as_once(self) -> None:
        """The stored facts stay; only the origin is replaced."""
        one, two = self.owners()
        one.save([saved(ONE, "drawing", requests=2)])
        self.at += 5
        moved = Origin("acme", "acme", "https://eu.acme.example", ("ACME_API_KEY",))
        [found] = two.enter([(ONE, moved, dict(saved(ONE, "saving").facts))]).values()
        assert (found.job.stage, found.requests, found.added_at) == ("drawing", 2, NOW)
        assert found.origin.base_url == "https://eu.acme.example"

    def test_jobs_come_in_their_order(self) -> None:
        """The oldest first, also with `last`."""
        one, two = self.owners()
        assert [job.ref for job in two.jobs()] == [*REFS]
        assert [job.ref for job in two.jobs(last=2)] == [TWO, THREE]
        assert two.jobs(last=0) == []
        assert one.jobs(last=9) == one.jobs()

    def test_unfinished_is_what_nobody_was_told(self) -> None:
        """Jobs without a verdict, or whose verdict was not reported."""
        one, two = self.owners()
        one.end([saved(ONE, done=True), saved(TWO, done=True)])
        one.told([ONE])
        assert [job.ref for job in two.jobs(unfinished=True)] == [TWO, THREE]

    def test_the_latest_are_those_that_ended_last(self) -> None:
        """Of one account, the latest first, whichever owner ended them."""
        one, two = self.owners()
        self.enter(one, "token:j1")
        for store, ref in ((one, TWO), (two, "token:j1"), (two, ONE)):
            self.at += 1
            store.end([saved(ref, done=True)])
        assert [job.ref for job in one.latest("acme", 5)] == [ONE, TWO]
        assert [job.ref for job in one.latest("acme", 1)] == [ONE]

    # -- facts --------------------------------------------------------------------------------------------------------

    def test_rows_are_saved_together(self) -> None:
        """Counts add up; jobs that are not stored or have a verdict are skipped."""
        one, two = self.owners()
        one.end([saved(THREE, done=True)])
        rows = [saved(ONE, "a", requests=2), saved(TWO, "b", requests=1), saved(THREE, "late"), saved("acme:j9", "x")]
        one.save(rows)
        two.save([saved(ONE, "a", "c", requests=3, transient_errors=1)])
        found = [(each.job.stage, each.requests, each.transient_errors) for each in one.jobs()]
        assert found == [("c", 5, 1), ("b", 1, 0), ("done", 0, 0)]

    def test_each_save_is_another_version(self) -> None:
        """A follower only compares that number."""
        one, two = self.owners()
        versions = []
        for row in (saved(ONE, "a"), saved(ONE, "a"), saved(TWO, "b")):
            one.save([row])
            found = two.get(ONE)
            assert found is not None
            versions.append(found.version)
        assert versions == [versions[0], versions[0] + 1, versions[0] + 1]

    def test_all_rows_or_none(self) -> None:
        """If one row cannot be written, the others stay unchanged."""
        one, _ = self.owners()
        raised(StoreError, lambda: one.save([saved(ONE, "a"), Saved("acme:\udcff", {})]))
        assert [each.job.stage for each in one.jobs()] == [None, None, None]

    def test_fields_that_are_unknown_are_kept(self) -> None:
        """A later version of the same format may have added fields."""
        one, two = self.owner(), self.owner()
        one.enter([(ONE, ORIGIN, {**saved(ONE, "a").facts, "colour": "blue"})])
        two.save([saved(ONE, "b")])
        two.end([saved(ONE, "b", done=True)])
        [found] = one.jobs()
        assert (found.facts["colour"], found.job.ok) == ("blue", True)

    def test_what_a_newer_vidpoll_keeps_is_left_alone(self) -> None:
        """Neither facts nor a verdict overwrite it; `end` returns False, and it is not listed as unfinished."""
        one, _ = self.owner(), self.owner()
        one.enter([(ONE, ORIGIN, newer(colour="blue")), (TWO, ORIGIN, {})])
        one.save([saved(ONE, "a", requests=1), saved(TWO, "b")])
        assert one.end([saved(ONE, done=True)]) == {ONE: False}
        found = one.get(ONE)
        assert found is not None
        assert (found.newer, dict(found.facts), found.requests, found.ended_at) == (True, newer(colour="blue"), 0, None)
        assert [job.ref for job in one.jobs(unfinished=True)] == [TWO]

    # -- verdicts -----------------------------------------------------------------------------------------------------

    def test_verdicts_end_together(self) -> None:
        """For each job: True if the caller must report it, False if another owner must, None if it is not stored."""
        one, two = self.owners()
        assert two.end([saved(TWO, done=True)]) == {TWO: True}
        rows = [saved(ref, done=True) for ref in (ONE, TWO, "acme:j9")]
        assert one.end(rows) == {ONE: True, TWO: False, "acme:j9": None}
        one.told([ONE])
        two.told([TWO, THREE])
        assert [(each.ended_at, each.told_at) for each in one.jobs()] == [(NOW, NOW), (NOW, NOW), (None, None)]

    def test_the_first_verdict_counts(self) -> None:
        """A later verdict does not overwrite it."""
        one, two = self.owners()
        one.end([saved(ONE, done=True)])
        self.at += 7
        assert two.end([saved(ONE, "late")]) == {ONE: False}
        found = two.get(ONE)
        assert found is not None
        assert (found.job.stage, found.ended_at) == ("done", NOW)

    def test_a_verdict_is_claimed_by_one(self) -> None:
        """While its owner lives, no other owner gets it; a reported verdict goes to none."""
        one, two = self.owners()
        one.end([saved(ref, done=True) for ref in (ONE, TWO)])
        one.told([TWO])
        assert (two.claim([*REFS, "acme:j9"]), one.claim(REFS)) == (set(), {ONE})
        one.untold([ONE, TWO])
        assert (two.claim(REFS), one.claim(REFS)) == ({ONE}, set())
        one.untold([ONE])
        assert one.claim(REFS) == set()

    def test_the_verdict_of_a_teller_that_is_gone_is_anybodys(self) -> None:
        """A verdict is reported at least once."""
        one, two = self.owners()
        one.end([saved(ONE, done=True)])
        self.killed(one)
        assert two.claim([ONE]) == {ONE}
        assert self.owner().claim([ONE]) == set()

    def test_a_verdict_that_is_to_be_heard_later_is_nobodys_for_a_while(self) -> None:
        """After that any owner may claim it again, until it was reported."""
        one, two = self.owners()
        one.end([saved(ref, done=True) for ref in (ONE, TWO)])
        one.later([ONE])
        assert (one.claim([ONE]), two.claim([ONE]), one.end([saved(ONE, done=True)])) == (set(), set(), {ONE: False})
        self.at += AGAIN - 1
        assert (one.claim([ONE]), two.claim([ONE])) == (set(), set())
        self.at += 1
        assert (two.claim([ONE]), one.claim([ONE])) == ({ONE}, set())
        two.later([ONE])
        one.told([ONE, TWO])
        one.later([ONE, TWO])
        self.at += AGAIN
        assert (one.claim([ONE, TWO]), [each.told_at for each in one.jobs()]) == (
            set(),
            [NOW + AGAIN, NOW + AGAIN, None],
        )

    # -- what is dropped ----------------------------------------------------------------------------------------------

    def test_pruned_is_what_was_told_before(self) -> None:
        """Also its wanted files, but no unfinished job."""
        one, two = self.owners()
        one.want(WantedFiles(ONE, "/clips", ("video",)))
        one.end([saved(ONE, done=True), saved(TWO, done=True)])
        one.told([ONE])
        assert two.prune(NOW) == 0
        assert two.prune(NOW + 1) == 1
        assert [job.ref for job in two.jobs()] == [TWO, THREE]
        assert two.wanted() == []

    def test_dropped_is_dropped(self) -> None:
        """In any state; with `strange`, only jobs that no submit created."""
        one, two = self.owners()
        number = one.begin(ORIGIN, "clip", {})
        assert isinstance(number, int)
        one.submitted(number, KeptJob("acme:j4", ORIGIN, "clip"))
        one.want(WantedFiles(ONE, "/clips", ("video",)))
        one.drop(ONE)
        two.drop(TWO, strange=True)
        two.drop("acme:j4", strange=True)
        two.drop("acme:j9")
        assert [job.ref for job in two.jobs()] == [THREE, "acme:j4"]
        assert two.wanted() == []

    # -- files --------------------------------------------------------------------------------------------------------

    def test_files_are_wanted_until_they_are_there(self) -> None:
        """Once for each target and kinds, the oldest first; a trailing slash makes no difference."""
        one, two = self.owners()
        wanted = [
            WantedFiles(TWO, "/clips/", ("video",)),
            WantedFiles(ONE, "/clips/a.mp4", ("video",)),
            WantedFiles(ONE, "/clips/a.mp4", ("video", "thumbnail")),
        ]
        for each in [*wanted, wanted[1]]:
            self.at += 1
            one.want(each)
        assert two.wanted() == wanted
        two.unwant(_bare(wanted[0]))
        assert one.wanted() == wanted[1:]

    # -- the store itself ---------------------------------------------------------------------------------------------

    def test_its_time_is_its_own(self) -> None:
        """The store has its own clock, not the caller's."""
        one = self.owner()
        self.at += 7
        assert one.now() == NOW + 7

    def test_a_closed_store_says_so(self) -> None:
        """Closing twice has no further effect; a closed store saves nothing."""
        one, two = self.owners()
        assert not one.closed
        one.close()
        one.close()
        assert (one.closed, two.closed, one.moved) == (True, False, False)
        raised(StoreError, lambda: one.save([saved(ONE, "a")]))
        assert len(two.jobs()) == 3


def _bare(files: WantedFiles) -> WantedFiles:
    return WantedFiles(files.ref, files.target.rstrip("/"), files.kinds)
