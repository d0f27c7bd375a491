"""The keys of kept jobs, for messages: a job has several if its provider has merged equal submits."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import vidpoll


def keys_of(client: vidpoll.Client, job: vidpoll.Job | vidpoll.KeptJob) -> list[str]:
    """The keys of a job: dropping it frees them. If the store cannot be read, only the key that the job has."""
    with suppress(vidpoll.StoreError, vidpoll.UsageError):  # UsageError: the client has no store
        return sorted(key for _, key in client.store.keys(job.ref))
    return [job.key] if job.key else []


def key_words(keys: Sequence[str]) -> str:
    """The keys in words, like "key 'k1'"; empty without a key."""
    return f"key{'s' if len(keys) > 1 else ''} {', '.join(map(repr, keys))}" if keys else ""
