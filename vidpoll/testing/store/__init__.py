"""The contract of a store as tests to inherit: `StoreContract`. Nothing but pytest is needed.

    class TestPostgres(vidpoll.testing.StoreContract):
        def make_store(self, now):
            return PostgresStore(URL, now)

Each test is one promise of `vidpoll.storage.protocol`. The tests live in the modules beside.
"""

from __future__ import annotations

from .batches import Batches
from .jobs import Jobs
from .leases import Leasing
from .shards import Sharding
from .submits import Submits

__all__ = ["StoreContract"]


class StoreContract(Jobs, Leasing, Sharding, Submits, Batches):
    """Inherit it in a class whose name begins with `Test`, say how a store is made, and run pytest.

    `make_store(now)` gives another owner at the database of this test, which is empty before the first one; `now` is
    what the store's `now()` is to say, and what decides about leases. `kill(store)` ends an owner as `kill -9` would:
    by default its store is used no more, and `gone_after` seconds pass by `now`. Who can check a process sets that to
    0.0, and has `kill` make it so.
    """
