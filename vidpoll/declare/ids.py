"""How users write the id of a job: as the provider gave it, or with what a question about it needs before it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .. import redact
from ..errors import BadReference, PluginError


@dataclass(frozen=True)
class Ids:
    """The form of an id: "id", "kind/id" with all kinds there are, or "NAME/id" with a field of the submit before it.

    Where that field is a path, `part` makes of its value what the id carries (of `owner/app/sub/path` the first two,
    say), and of that it must make the same again; the id is then what stands behind the last "/". Raises PluginError
    for any other form.

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
            raise PluginError(f"Ids form {self.form!r}: write 'id', 'kind/id', or the name of a field before '/id'")
        good = isinstance(self.kinds, tuple) and all(isinstance(kind, str) and kind for kind in self.kinds)
        if not good or bool(self.kinds) != (self.form == "kind/id") or any("/" in kind for kind in self.kinds):
            raise PluginError(f"Ids kinds {self.kinds!r}: a tuple of names without '/', for the form 'kind/id' alone")

    @property
    def first(self) -> str:
        """The name of what stands before the id; "" where nothing does."""
        return self.form[:-3]

    @property
    def names(self) -> frozenset[str]:
        """What an id consists of."""
        return frozenset(self.form.split("/"))

    def split(self, job_id: str) -> dict[str, str]:
        """The parts of an id. Raises BadReference with the way to write it."""
        if not self.first:
            if not job_id.strip():
                raise BadReference("an id that is empty names no job")
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
        """What the id carries of the field's value."""
        return value if self.part is None else self.part(value)

    def join(self, first: str, told: str | None) -> str | None:
        """The id as users write it, of what an answer tells; None where it tells none, or nothing is known before it.

        >>> Ids("kind/id", ("text2video",)).join("text2video", "867")
        'text2video/867'
        """
        if not told or not self.first:
            return told
        return f"{first}/{told}" if first else None
