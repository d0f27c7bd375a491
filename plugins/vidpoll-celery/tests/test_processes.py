"""The ten lines of the README, with workers and beat as processes: all verdicts arrive, nothing is bought twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from servers import Postgres, Redis

pytestmark = pytest.mark.slow

KEYS = [f"key-{number}" for number in range(6)]


def works(shop: Any, *pool: str) -> list[Any]:
    """Two workers that serve, one for other tasks, and beat; an order sent twice is bought and reported once."""
    servers = [shop.worker(f"serve{number}", "-Q", "vidpoll", "-c", "2", *pool) for number in range(2)]
    others = [shop.worker("rest", "-c", "2", *pool), shop.beat()]
    shop.submit(*KEYS, *KEYS)
    shop.until(lambda: len(shop.told) >= len(KEYS) + 1)
    return [*servers, *others]


def serving(shop: Any) -> int:
    """Which of the workers serves."""
    return next(number for number in range(2) if "serving: " in shop.log(f"serve{number}"))


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_without_servers(shop: Any, pool: str) -> None:
    """With every pool: each order once, and a worker that ends lets go of its accounts within a look."""
    shop.write_without_servers(every=1)
    processes = works(shop, "-P", pool)
    assert sorted(shop.told) == sorted(["order-42", *KEYS])
    assert shop.simulation.submissions("magicoal") == len(KEYS) + 1
    first = serving(shop)
    processes[first].send_signal(signal.SIGTERM)
    shop.until(lambda: "serving: " in shop.log(f"serve{1 - first}"), 8.0)  # 10 s where it had not let go
    for process in processes[:first] + processes[first + 1 :]:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(20.0) for process in processes] == [0] * 4


@pytest.fixture
def cluster() -> Iterator[Postgres]:
    """A PostgreSQL of this test's."""
    with Postgres() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A Redis of this test's."""
    with Redis() as server:
        yield server


def test_with_servers(shop: Any, cluster: Postgres, redis: Redis) -> None:
    """The ten lines as they stand; the worker that serves is killed, and so is the one that hears, with its orders."""
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        db.execute("CREATE DATABASE shop")
    address = {"PGHOSTADDR": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": "postgres"}
    shop.environ |= {"CELERY_BROKER_URL": redis.url, **address}
    shop.write()
    processes = works(shop)
    more = [f"more-{number}" for number in range(20)]
    shop.submit(*more)
    shop.kill(processes[serving(shop)])
    shop.until(lambda: len(shop.told) >= len(KEYS) + 5)
    shop.kill(processes[2])
    shop.worker("again", "-c", "2")
    shop.until(
        lambda: {*shop.told} == {"order-42", *KEYS, *more}, 120.0
    )  # what it had fetched is told again after 60 s
    assert shop.simulation.submissions("magicoal") == len({*shop.told})
