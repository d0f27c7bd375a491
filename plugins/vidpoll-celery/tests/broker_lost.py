"""Redis is killed with all its data while orders run: no begun job is lost, and all are told soon after its restart.

By hand: python plugins/vidpoll-celery/tests/broker_lost.py [orders]. It starts a Redis, a PostgreSQL, the simulator and
four workers on loopback, prints figures, and ends with 1 where one is not as promised. It takes about two minutes.
"""

# ruff: noqa: T201 - it prints its figures

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "tests" / "support")]

from conftest import Shop  # noqa: E402
from servers import Postgres, Redis  # noqa: E402

from vidpoll.testing import simulate  # noqa: E402

WITHIN = 90.0
"""Seconds after the restart within which every verdict must arrive."""

DOWN = 20.0
"""Seconds for which there is no Redis."""


def main(orders: int) -> int:
    """Run it."""
    postgres, redis = Postgres(durable=True), Redis()
    with (
        tempfile.TemporaryDirectory() as folder,
        simulate("magicoal", "token360", speed=15.0, magicoal={"credits": 1_000_000}) as simulation,
    ):
        shop = Shop(Path(folder), simulation)
        try:
            postgres.start()
            redis.start()
            shop.environ |= {"CELERY_BROKER_URL": redis.url}
            shop.write()
            shop.change("postgresql://db/shop", postgres.url())
            return run(shop, redis, orders)
        finally:
            shop.close()
            redis.remove()
            postgres.remove()


def run(shop: Shop, redis: Redis, orders: int) -> int:
    """Order, wait until half of the verdicts arrived, kill Redis, start an empty one."""
    for number in range(2):
        shop.worker(f"serve{number}", "-Q", "vidpoll", "-c", "2")
    shop.worker("rest", "-c", "2")
    shop.beat()
    keys = {"order-42", *(f"key-{number}" for number in range(orders))}
    shop.submit(*sorted(keys - {"order-42"}))
    shop.until(lambda: shop.simulation.submissions("magicoal") == len(keys))
    shop.until(lambda: len(shop.told) > 0)
    redis.stop(signal.SIGKILL)
    before = len(shop.told)
    time.sleep(DOWN)
    while_down = len(shop.told) - before
    redis.start()
    restarted, ended = time.monotonic(), 0
    while {*shop.told} != keys and time.monotonic() - restarted < 2 * WITHIN:
        ended += shop.supervise()  # a worker that had fetched messages ends, by a fault of kombu 5.7
        time.sleep(0.2)
    took, told = time.monotonic() - restarted, shop.told
    untold, bought = len(keys - {*told}), shop.simulation.submissions("magicoal")
    if untold:
        for name in ("serve0", "serve1", "rest", "beat"):
            print(f"== {name}", shop.log(name)[-4000:], sep="\n")
    print(f"orders {len(keys)}; told before the kill {before}, while it was down {while_down}")
    print(f"workers that ended and were started again {ended}")
    print(f"bought {bought}, untold {untold}, told twice {len(told) - len({*told})}")
    print(f"all told {took:.1f} s after the restart (promised: {WITHIN:g} s)")
    return int(bool(untold) or bought != len(keys) or took > WITHIN)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
