"""A store for vidpoll on PostgreSQL, by way of psycopg 3: many hosts share it, and nothing is bought twice.

vidpoll.Client(store="postgresql://db/shop")        # or VIDPOLL_STORE=postgresql://db/shop
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import vidpoll

if TYPE_CHECKING:
    from .store import PostgresStore

__all__ = ["open_store", "vidpoll_stores"]


@vidpoll.hookimpl
def vidpoll_stores(url: str) -> PostgresStore | None:
    return open_store(url) if url.startswith(("postgresql://", "postgres://")) else None


def open_store(url: str) -> PostgresStore:
    """The store in a database; missing tables are made. Raises StoreError if the store cannot be opened."""
    try:
        from .store import PostgresStore
    except ImportError as error:
        raise vidpoll.StoreError(
            f"a store at {url.partition(':')[0]}:// needs psycopg, which cannot be imported ({type(error).__name__}): "
            'pip install "psycopg[binary]"'
        ) from None
    return PostgresStore(url)
