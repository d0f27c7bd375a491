"""vidpoll on Celery: submits and verdicts are tasks, and beat starts the loop that waits, on a queue of its own.

    app = Celery("shop", broker="redis://redis/0")
    video = vidpoll_celery.install(app, store="postgresql://db/shop", accounts=["magicoal", "token360"])

The store is the truth: a message that the broker loses is sent again, or belongs to work that was never begun.
"""

from __future__ import annotations

from .video import Video, install

__all__ = ["Video", "install"]
