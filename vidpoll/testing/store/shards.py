"""What a store promises about shards: who owns whole accounts, for how long, and what is new in them."""

from __future__ import annotations

from ...clock import SystemClock
from ...storage.protocol import AGAIN, TRUSTED, TTL, Gauges, KeptJob, Shard, Slowed, bucket
from .base import NOW, ONE, ORIGIN, REFS, THREE, TWO, Base, newer, saved
from .leases import elsewhere, mine

ACME = {"acme": 1}


def refs(found: tuple[list[KeptJob], float]) -> list[str]:
    """The references of the new jobs."""
    return sorted(kept.ref for kept in found[0])


class Sharding(Base):
    """Shards, heartbeats, news."""

    # -- who owns a shard ----------------------------------------------------------------------------------------------

    def test_a_heartbeat_is_trusted_for_a_part_of_its_life(self) -> None:
        """Its time counts from before it was sent, on our own monotonic clock."""
        one = self.owner()
        before = SystemClock.monotonic()
        until = one.beat()
        assert before <= until - TRUSTED * TTL <= SystemClock.monotonic()

    def test_a_shard_has_one_owner(self) -> None:
        """It is taken once, even if it has no job."""
        one, two = self.owners()
        [shard] = one.take(ACME, 5)
        assert shard == Shard("acme", 0, 1, shard.fence)
        assert (one.held(), two.held()) == ({shard}, set())
        assert (one.take(ACME, 5), two.take(ACME, 5)) == ([], [])
        [other] = two.take({"acme": 1, "nobody": 1}, 5)
        assert other[:3] == ("nobody", 0, 1)

    def test_no_more_are_taken_than_asked_for(self) -> None:
        """Other owners may take the rest."""
        one, two = self.owner(), self.owner()
        many = {f"a{number}": 2 for number in range(4)}
        taken = [*one.take(many, 3), *two.take(many, 0), *two.take(many, 9)]
        assert sorted(shard[:3] for shard in taken) == [(name, part, 2) for name in sorted(many) for part in (0, 1)]
        assert len(one.held()) == 3

    def test_what_is_given_back_is_anybodys(self) -> None:
        """At once; a shard that another owner has taken stays with that owner."""
        one, two = self.owners()
        shards = one.take(ACME, 1)
        one.give(shards)
        assert one.held() == set()
        [taken] = two.take(ACME, 1)
        assert taken.fence > shards[0].fence
        one.give([*shards, taken])
        two.give(shards)
        assert two.held() == {taken}
        two.give([taken])
        [again] = one.take(ACME, 1)
        one.give(shards)  # the old shard: the fence has changed
        assert one.held() == {again}

    def test_a_silent_owner_loses_its_shards(self) -> None:
        """After TTL and not before; it notices that, and a heartbeat does not bring them back."""
        one, two = self.owners()
        shards = one.take(ACME, 1)
        self.at += TTL - 1
        assert two.take(ACME, 1) == []
        one.beat()
        self.at += TTL - 1
        assert two.take(ACME, 1) == []
        self.at += 2
        [taken] = two.take(ACME, 1)
        one.beat()
        assert (one.held(), two.held(), one.take(ACME, 1)) == (set(), {taken}, [])
        assert taken.fence == shards[0].fence + 1

    def test_a_shard_that_was_lost_and_taken_again_is_another_one(self) -> None:
        """An owner that slept meanwhile notices it by the fence."""
        one, two = self.owners()
        [before] = one.take(ACME, 1)
        self.at += TTL + 1
        two.give(two.take(ACME, 1))
        [after] = one.take(ACME, 1)
        assert one.held() == {after}
        assert before != after

    def test_an_owner_that_is_silent_keeps_what_nobody_wants(self) -> None:
        """A short outage of the store moves no shard."""
        one, _ = self.owners()
        [shard] = one.take(ACME, 1)
        self.at += 5 * TTL
        one.beat()
        assert one.held() == {shard}

    def test_a_closed_store_holds_no_shard(self) -> None:
        """After a deploy the shards are free at once."""
        one, two = self.owners()
        one.take(ACME, 1)
        one.close()
        assert len(two.take(ACME, 1)) == 1

    def test_the_shards_of_one_that_was_killed_are_free_within_ttl(self) -> None:
        """Even if its other leases last longer."""
        one, two = self.owners()
        one.take(ACME, 1)
        self.kill(one)
        self.at += TTL + 1
        assert len(two.take(ACME, 1)) == 1

    def test_an_account_is_divided_one_way(self) -> None:
        """While an owner with another division lives: else two owners would poll one job."""
        one, two = self.owners()
        whole = one.take(ACME, 1)
        assert two.take({"acme": 2}, 5) == []
        one.give(whole)
        assert len(two.take({"acme": 2}, 1)) == 1
        assert one.take(ACME, 1) == []
        assert len(one.take({"acme": 2}, 5)) == 1

    def test_one_of_another_division_that_is_back_holds_nothing(self) -> None:
        """The account was divided again while the owner was silent."""
        one, two = self.owners()
        one.take(ACME, 1)
        self.at += TTL + 1
        assert len(two.take({"acme": 2}, 5)) == 2
        one.beat()
        assert (one.held(), len(two.held()), one.take(ACME, 1)) == (set(), 2, [])

    # -- shards and leases --------------------------------------------------------------------------------------------

    def test_whoever_has_the_shard_asks_about_its_jobs(self) -> None:
        """Another owner that waits for such a job follows."""
        one, two = self.owners()
        shards = one.take(ACME, 1)
        assert (one.lease(REFS, 60.0), two.lease(REFS, 60.0)) == (mine(*REFS), elsewhere(*REFS))
        assert (one.leased(ONE), two.leased(ONE)) == (False, True)
        one.give(shards)
        assert two.lease(REFS, 60.0) == mine(*REFS)

    def test_a_lease_goes_before_the_shard(self) -> None:
        """An owner that waited for a job before the shard was taken continues, and keeps its lease."""
        one, two = self.owners()
        two.lease([ONE], 60.0)
        one.take(ACME, 1)
        assert one.lease(REFS, 60.0).elsewhere == {ONE}
        assert two.lease([ONE], 60.0) == mine(ONE)
        assert (one.leased(ONE), two.leased(ONE)) == (True, False)
        two.release([ONE])
        assert (one.lease([ONE], 60.0), two.lease([ONE], 60.0)) == (mine(ONE), elsewhere(ONE))

    def test_a_part_has_its_own_jobs(self) -> None:
        """Each job belongs to one part."""
        one, two = self.owners()
        [left] = one.take({"acme": 2}, 1)
        [right] = two.take({"acme": 2}, 1)
        ours = {ref for ref in REFS if bucket(ref) % 2 == left.part}
        assert ours == {ref for ref in REFS if left.has(ref)} == {ref for ref in REFS if not right.has(ref)}
        assert set(refs(one.news([left], 0.0))) == ours
        assert one.lease(REFS, 60.0).mine == ours
        assert set(refs(two.news([right], 0.0))) == {*REFS} - ours

    # -- news ---------------------------------------------------------------------------------------------------------

    def test_at_first_all_that_is_unfinished_is_new(self) -> None:
        """As stored; no job of another account, and none whose verdict was reported."""
        one, two = self.owners()
        self.enter(one, "token:j1")
        one.save([saved(TWO, "drawing", requests=3)])
        one.end([saved(ONE, done=True), saved(THREE, done=True)])
        one.told([ONE])
        shards = two.take(ACME, 1)
        found, _ = two.news(shards, 0.0)
        assert sorted(found, key=lambda kept: kept.ref) == [two.get(TWO), two.get(THREE)]

    def test_then_what_came_since(self) -> None:
        """Whether entered, submitted or adopted; a job may be listed twice, and none is missed."""
        one, two = self.owners()
        shards = two.take(ACME, 1)
        mark = two.news(shards, 0.0)[1]
        self.at += 60
        mark = two.news(shards, mark)[1]
        self.enter(one, "acme:j4", "token:j1")
        for name, made in (("j5", True), ("j6", False)):
            number = one.begin(ORIGIN, "clip", {}, key=name)
            assert isinstance(number, int)
            if made:
                one.submitted(number, KeptJob(f"acme:{name}", ORIGIN, "clip", key=name))
            else:
                one.lost(number, "reset")
                one.adopt(number, f"acme:{name}", {})
        assert refs(two.news(shards, mark)) == ["acme:j4", "acme:j5", "acme:j6"]

    def test_saved_facts_are_no_news(self) -> None:
        """Once all jobs are older than the overlap, a quiet shard has no news."""
        one, two = self.owners()
        shards = two.take(ACME, 1)
        mark = two.news(shards, 0.0)[1]
        self.at += 60
        mark = two.news(shards, mark)[1]
        one.save([saved(ONE, "drawing", requests=1)])
        one.enter([(TWO, ORIGIN, {})])
        assert two.news(shards, mark)[0] == []

    def test_a_verdict_is_news(self) -> None:
        """Whichever owner saved it: the job needs no more polls. It is listed each time until it was reported."""
        one, two = self.owners()
        shards = two.take(ACME, 1)
        mark = two.news(shards, 0.0)[1]
        self.at += 60
        mark = two.news(shards, mark)[1]
        one.end([saved(ONE, done=True)])
        found, mark = two.news(shards, mark)
        assert [(kept.ref, kept.ended_at, kept.told_at) for kept in found] == [(ONE, self.at, None)]
        self.at += 60
        found, mark = two.news(shards, mark)
        assert [kept.ref for kept in found] == [ONE]
        one.told([ONE])
        self.at += 60
        mark = two.news(shards, mark)[1]
        assert two.news(shards, mark)[0] == []

    def test_what_is_to_be_heard_later_is_no_news_for_a_while(self) -> None:
        """It is listed once it may be claimed, by the store's time, until it was reported; a gauge counts it."""
        one, two = self.owners()
        shards = two.take(ACME, 1)
        one.end([saved(ONE, done=True), saved(TWO, done=True)])
        one.later([ONE])
        self.at += 10
        mark = two.news(shards, two.news(shards, 0.0)[1])[1]
        self.at += AGAIN - 11
        found, mark = two.news(shards, mark)
        assert refs((found, mark)) == [TWO]
        assert two.gauges().untold == 2
        self.at += 2
        found, mark = two.news(shards, mark)
        assert refs((found, mark)) == [ONE, TWO]
        assert two.claim(REFS) == {ONE}
        two.told([ONE])
        assert refs(two.news(shards, mark)) == [TWO]

    # -- rates --------------------------------------------------------------------------------------------------------

    def test_owners_share_a_rate(self) -> None:
        """Together they never exceed the rate of a second, and get equal parts once both want all of it."""
        one, two = self.owner(), self.owner()
        assert one.spend("acme", 100, 10.0)[:2] == (10, 1.0)
        assert two.spend("acme", 100, 10.0)[:2] == (0, 1.0)
        assert two.spend("token", 3, 10.0).number == 3
        self.at += 1.5
        assert [each.spend("acme", 100, 10.0).number for each in (one, two)] == [5, 5]
        assert one.spend("acme", 100).number == 100

    def test_what_one_owner_hears_all_know(self) -> None:
        """A hold ends by the store's time; refusals are counted."""
        one, two = self.owner(), self.owner()
        one.spend("acme", 0, told=Slowed(5.0, 30.0, 2, 7.5, 1.0))
        self.at += 3.0
        assert two.spend("acme", 0).slowed == Slowed(2.0, 27.0, 2, 7.5, 4.0)
        assert two.spend("acme", 0, told=Slowed(1.0, 0.0, 1, 3.0)).slowed == Slowed(2.0, 27.0, 3, 3.0, 0.0)
        assert two.spend("token", 0).slowed[:3] == (0.0, 0.0, 0)

    # -- what is not news ----------------------------------------------------------------------------------------------

    def test_a_job_of_a_newer_vidpoll_is_no_news(self) -> None:
        """The newer version must handle it."""
        one = self.owner()
        one.enter([(ONE, ORIGIN, newer()), (TWO, ORIGIN, {})])
        assert refs(one.news(one.take(ACME, 1), 0.0)) == [TWO]

    def test_several_shards_are_asked_for_at_once(self) -> None:
        """One call returns the news of shards of different accounts."""
        one, _ = self.owners()
        self.enter(one, "token:j1", "other:j1")
        shards = one.take({"acme": 2, "token": 1}, 9)
        assert refs(one.news(shards, 0.0)) == [*REFS, "token:j1"]
        assert one.news([], 0.0)[0] == []

    # -- what an operator sees ----------------------------------------------------------------------------------------

    def test_accounts_are_those_with_unfinished_jobs(self) -> None:
        """An account whose verdicts were all reported is not among them."""
        one, two = self.owners()
        self.enter(one, "token:j1", "other:j1")
        two.end([saved("token:j1", done=True), saved("other:j1", done=True)])
        two.told(["token:j1"])
        assert one.accounts() == {"acme", "other"}

    def test_gauges(self) -> None:
        """Open jobs, unreported verdicts, accounts without an owner, and living owners."""
        one, two = self.owners()
        self.enter(one, "token:j1")
        one.end([saved(ONE, done=True), saved(TWO, done=True)])
        one.told([ONE])
        assert one.gauges()[:3] == (2, 1, ("acme", "token"))
        one.take({"acme": 2}, 1)
        assert one.gauges()[:3] == (2, 1, ("acme", "token"))
        two.take({"acme": 2, "token": 1}, 9)
        one.beat()
        self.at += 3
        two.beat()
        assert two.gauges() == Gauges(2, 1, (), 2, 3.0)
        self.kill(one)
        self.at = NOW + TTL + 3
        two.beat()
        assert two.gauges() == Gauges(2, 1, ("acme",), 1, 0.0)
