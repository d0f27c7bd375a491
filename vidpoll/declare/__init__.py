"""Providers as tables: operations made of status words, paths, rules and request lines.

    READER = declare.Reader({"queued": State.QUEUED, "running": State.RUNNING, "done": State.COMPLETED,
                             "failed": State.FAILED}, files={"video": "output.video_url"})
    FIELDS = {"prompt": declare.text(2000), "seconds": declare.whole(1, 15), "image": declare.image()}

    yield vidpoll.Provider(
        "acme", base_url="https://api.acme.example/v1", auth=vidpoll.Bearer("ACME_API_KEY"),
        pacing=vidpoll.Pacing(floor=5.0),
        status=declare.status("GET /videos/{id}", READER),
        submit={"video": declare.submit("POST /videos", READER, FIELDS, needed=("prompt",))})

Each table is checked when it is made: an invalid one raises `vidpoll.PluginError`, which names the place. For what no
table can say, write a function: `decide` or `refine` of a Reader, `convert` of a submit, or a whole
`vidpoll.Operation`.
"""

from __future__ import annotations

from .batches import batch
from .envelope import Envelope
from .families import ark_tasks, openai_videos
from .fields import (
    Rule,
    anything,
    described,
    file,
    flag,
    image,
    list,
    matching,
    number,
    object,
    one_of,
    take,
    text,
    texts,
    whole,
)
from .forms import form
from .ids import Ids
from .lines import request
from .operations import by_kind, cancel, content, delete, quota, status, submit
from .pages import cursor_pages, numbered_pages
from .prices import estimate, prices
from .reader import Reader
from .refusals import problems, refusals
from .second import Second
from .uploads import upload
from .verdicts import Verdict
from .webhooks import Webhook, ed25519, hmac_sha256, standard_webhooks

__all__ = [
    # responses
    "Reader", "Envelope", "Ids", "Second", "Verdict", "refusals", "problems",
    # operations
    "request", "status", "submit", "cancel", "delete", "content", "quota", "upload", "cursor_pages", "numbered_pages",
    "batch", "by_kind", "form", "estimate", "prices",
    # webhooks
    "Webhook", "standard_webhooks", "hmac_sha256", "ed25519",
    # what a field must be
    "Rule", "text", "whole", "number", "one_of", "matching", "flag", "list", "object", "image", "file", "anything",
    "take", "described", "texts",
    # families
    "openai_videos", "ark_tasks",
]  # fmt: skip
