"""vidpoll on Celery: submits and verdicts are tasks, and beat places the loop that waits, on a queue of its own.

    app = Celery("shop", broker="redis://redis/0")
    video = vidpoll_celery.install(app, store="postgresql://db/shop", accounts=["magicoal", "token360"])

The store is the truth: what the broker loses comes again, or was never begun.
"""

from __future__ import annotations

from .video import Video, install

__all__ = ["Video", "install"]
