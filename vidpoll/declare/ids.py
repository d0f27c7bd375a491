"""How users write the id of a job: as the provider gave it, or with a first part that its requests need."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .. import redact
from ..errors import BadReference, PluginError


@dataclass(frozen=True)
class Ids:
    """The form of an id: "id", "kind/id" with a tuple of all `kinds`, or "NAME/id", where NAME is a submit field.

    If that field is itself a path, `part` returns the part of its value that the id carries (for example the first two
    segments of `owner/app/sub/path`). `part` must return this part unchanged, and the id is then the text after the
    last "/". Raises PluginError for any other form.

    >>> Ids("kind/id", ("text2video", "image2video")).split("text2video/867")
    {'kind': 'text2video', 'id': '867'}
    >>> Ids("app/id", part=lambda app: "/".join(app.split("/")[:2])).split("fal-ai/veo3.1/867")
    {'app': 'fal-ai/veo3.1', 'id': '867'}
    """

    form: str = "id"
    kinds: tuple[str, ...] = ()
    part: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"([A-Za-z_]\w*/)?id", str(self.form)):
            raise PluginError(f"Ids form must be 'id', 'kind/id', or a field's name before '/id', got {self.form!r}")
        good = isinstance(self.kinds, tuple) and all(isinstance(kind, str) and kind for kind in self.kinds)
        if not good or bool(self.kinds) != (self.form == "kind/id") or any("/" in kind for kind in self.kinds):
            raise PluginError(f"Ids kinds must be names without '/', and only for 'kind/id', got {self.kinds!r}")

    @property
    def first(self) -> str:
        """The name of the part before the id; "" if there is none."""
        return self.form[:-3]

    @property
    def names(self) -> frozenset[str]:
        """The names of the parts of an id."""
        return frozenset(self.form.split("/"))

    def split(self, job_id: str) -> dict[str, str]:
        """The parts of an id. Raises BadReference, which says how to write the id."""
        if not self.first:
            if not job_id.strip():
                raise BadReference("the id is empty: give the id of a job")
            return {"id": job_id}
        first, _, rest = job_id.partition("/") if self.part is None else job_id.rpartition("/")
        carried = self.carried(first)
        if not first or not rest or (self.kinds and first not in self.kinds) or carried != first:
            shown, what = redact.text(job_id, limit=80), self.first.upper()
            ways = self.kinds or ((carried,) if carried != first and carried else ())
            known = " or ".join(ways) or f"the field {self.first} of its submit"
            raise BadReference(f"{shown!r}: write the id as {what}/ID; {what} is {known}")
        return {self.first: first, "id": rest}

    def carried(self, value: str) -> str:
        """The part of the field's value that the id carries."""
        return value if self.part is None else self.part(value)

    def join(self, first: str, told: str | None) -> str | None:
        """The id as users write it, from the id in a response. None if there is no id, or the first part is unknown.

        >>> Ids("kind/id", ("text2video",)).join("text2video", "867")
        'text2video/867'
        """
        if not told or not self.first:
            return told
        return f"{first}/{told}" if first else None
