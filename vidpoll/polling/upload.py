"""Files that a job needs, sent to the provider before the submit: which operation takes a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import AnswerError, InvalidField, Unsupported
from ..faults import Fault
from ..model import Request
from ..provider import Operation
from .account_state import AccountState
from .call import Call, build
from .loop import Loop
from .task import OneShot


def upload_request(account: AccountState, path: Path, kind: str | None) -> tuple[Operation[Any], Request]:
    """The upload operation that accepts the file, and its request. Raises Unsupported, or InvalidField if none does."""
    uploads, name = account.provider.upload, account.name
    if not uploads:
        raise Unsupported(f"{account.provider.name} takes no uploads: pass the file as a field of the submit")
    if kind is not None and kind not in uploads:
        raise Unsupported(f"{name}: no upload operation {kind!r}; it has: {', '.join(uploads)}")
    refused: dict[str, InvalidField] = {}
    for each in uploads if kind is None else (kind,):
        try:
            return uploads[each], build(account.opened, uploads[each], path)
        except InvalidField as error:
            refused[each] = error
    if len(refused) == 1:
        raise next(iter(refused.values()))
    ways = "; ".join(f"{each}: {error.message.removeprefix(f'{path.name}: ')}" for each, error in refused.items())
    raise InvalidField(f"{path.name}: no upload operation of {name} accepts it ({ways})")


def run_upload(
    loop: Loop, account: AccountState, operation: Operation[Any], request: Request
) -> Any | Fault | AnswerError:
    """Send the file, and send it again if no response came; return the result."""

    def call() -> Call[Any]:
        return Call(account.opened, operation, request)

    task = OneShot(account, call, repeat=True, now=loop.now(), patience=loop.context.patience)
    for _ in loop.run([task]):
        pass
    return task.result
