"""How users write the id of a job: as the provider gave it, or with a kind before it that the path repeats."""

from __future__ import annotations

from dataclasses import dataclass

from .. import redact
from ..errors import BadReference, PluginError


@dataclass(frozen=True)
class Ids:
    """The form of an id: "id", or "kind/id" with all kinds there are. Raises PluginError for any other.

    >>> Ids("kind/id", ("text2video", "image2video")).split("text2video/867")
    {'kind': 'text2video', 'id': '867'}
    """

    form: str = "id"
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.form not in ("id", "kind/id"):
            raise PluginError(f"Ids form {self.form!r}: write 'id' or 'kind/id'")
        good = isinstance(self.kinds, tuple) and all(isinstance(kind, str) and kind for kind in self.kinds)
        if not good or bool(self.kinds) != (self.form == "kind/id") or any("/" in kind for kind in self.kinds):
            raise PluginError(f"Ids kinds {self.kinds!r}: a tuple of names without '/', for the form 'kind/id' alone")

    @property
    def names(self) -> frozenset[str]:
        """What an id consists of."""
        return frozenset(self.form.split("/"))

    def split(self, job_id: str) -> dict[str, str]:
        """The parts of an id. Raises BadReference with the way to write it."""
        if not self.kinds:
            return {"id": job_id}
        kind, _, rest = job_id.partition("/")
        if kind not in self.kinds or not rest:
            shown = redact.text(job_id, limit=80)
            raise BadReference(f"{shown!r}: write the id as KIND/ID; KIND is {' or '.join(self.kinds)}")
        return {"kind": kind, "id": rest}

    def join(self, kind: str, told: str | None) -> str | None:
        """The id as users write it, of what an answer tells; None where it tells none.

        >>> Ids("kind/id", ("text2video",)).join("text2video", "867")
        'text2video/867'
        """
        return f"{kind}/{told}" if told and self.kinds else told
