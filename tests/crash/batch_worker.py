"""The process that is killed while it runs a batch: `python batch_worker.py SETTINGS` (JSON, see `batch_nights.py`).

What a user's script would look like. It ends with the batch's exit code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from fast_clock import Clock
from studio import Studios, accounts

import vidpoll


def main(settings: dict[str, Any]) -> int:
    speed = settings["speed"]
    with vidpoll.Client(
        accounts=accounts(settings["origin"]),
        store=settings["store"],
        plugins=[Studios(settings["floor"], settings["typical"])],
        discover=False,
        clock=Clock(settings["zero"], speed),
        http_timeout=(10.0 * speed, 30.0 * speed),
    ) as client:
        print("ready", flush=True)
        batch = client.batch(settings["sheet"], account="studio", kind="t2v", **settings["options"])
        for _ in batch:
            pass
        return batch.exit_code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
