"""The contract of a store as tests to inherit: `StoreContract`. Nothing but pytest is needed.

    class TestPostgres(vidpoll.testing.StoreContract):
        def make_store(self, now):
            return PostgresStore(URL, now)

Each test is one promise of `vidpoll.storage.protocol`. The tests are in the other modules of this package.
"""

from __future__ import annotations

from .batches import Batches
from .jobs import Jobs
from .leases import Leasing
from .shards import Sharding
from .submits import Submits

__all__ = ["StoreContract"]


class StoreContract(Jobs, Leasing, Sharding, Submits, Batches):
    """Inherit it in a class whose name begins with `Test`, write `make_store`, and run pytest.

    `make_store(now)` returns another owner of the database of this test, which is empty before the first one; the
    store's `now()` must return `now()`, and leases must use it. `kill(store)` ends an owner like `kill -9`: by default
    its store is no longer used, and `gone_after` seconds pass. If a store can check whether a process lives, set
    `gone_after` to 0.0, and let `kill` make the process appear dead.
    """
