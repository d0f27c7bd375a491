"""What a store promises about leases: which process polls a single job."""

from __future__ import annotations

from ...storage.protocol import Leases
from .base import ONE, REFS, THREE, TWO, Base, saved


def mine(*refs: str) -> Leases:
    """All leases are ours."""
    return Leases(mine=frozenset(refs))


def elsewhere(*refs: str) -> Leases:
    """All leases are another owner's."""
    return Leases(elsewhere=frozenset(refs))


class Leasing(Base):
    """Leases of single jobs."""

    def test_one_asks_about_a_job(self) -> None:
        """The other owners follow until the lease is released; a job that is not stored may be leased by all."""
        one, two = self.owners()
        assert one.lease([ONE, "acme:j9"], 60.0) == mine(ONE, "acme:j9")
        assert (one.lease([ONE], 60.0), two.lease([ONE], 60.0)) == (mine(ONE), elsewhere(ONE))
        assert (one.leased(ONE), two.leased(ONE), two.leased(TWO), two.leased("acme:j9")) == (False, True, False, False)
        two.release([ONE])
        assert two.lease([ONE], 60.0) == elsewhere(ONE)
        one.release([ONE])
        assert two.lease([ONE], 60.0) == mine(ONE)

    def test_a_lease_is_renewed(self) -> None:
        """Its time counts from the last renewal."""
        one, two = self.owners()
        one.lease([ONE], 60.0)
        self.at += 50
        one.lease([ONE], 60.0)
        self.at += 50
        assert two.lease([ONE], 60.0) == elsewhere(ONE)

    def test_a_lease_of_one_that_is_gone_is_taken_over(self) -> None:
        """At the latest when the lease expires."""
        one, two = self.owners()
        one.lease(REFS, 60.0)
        self.killed(one)
        assert not two.leased(ONE)
        assert two.lease([ONE, TWO], 60.0).mine == {ONE, TWO}
        assert self.owner().lease([TWO, THREE], 60.0) in (
            Leases(frozenset({THREE}), frozenset({TWO}), taken) for taken in (frozenset(), frozenset({THREE}))
        )

    def test_a_lease_of_one_that_is_known_to_be_gone_is_taken_at_once(self) -> None:
        """The old owner may just have polled: `taken` names the job. Without a process check the lease has expired."""
        one, two = self.owners()
        one.lease([ONE], 60.0)
        self.killed(one)
        expected = frozenset({ONE}) if self.gone_after < 60.0 else frozenset()
        assert two.lease([ONE], 60.0).taken == expected

    def test_a_lease_that_has_run_out_is_not_taken_over(self) -> None:
        """Its owner no longer polls, so `taken` does not name the job."""
        one, two = self.owners()
        one.lease([ONE], 60.0)
        self.kill(one)
        self.at += 61.0
        assert two.lease([ONE], 60.0) == mine(ONE)

    def test_a_verdict_ends_the_lease(self) -> None:
        """The job is no longer polled."""
        one, two = self.owners()
        one.lease([ONE], 60.0)
        one.end([saved(ONE, done=True)])
        assert not two.leased(ONE)

    def test_a_closed_store_holds_no_lease(self) -> None:
        """An owner that closes releases its leases at once."""
        one, two = self.owners()
        one.lease(REFS, 600.0)
        one.close()
        assert two.lease(REFS, 60.0) == mine(*REFS)
