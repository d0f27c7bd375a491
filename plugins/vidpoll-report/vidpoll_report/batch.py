"""A batch on the page: its sums by account and by unit, and all its rows. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import vidpoll

from .entry import prompt_of
from .html import Child, Markup, tag

STATES = ("completed", "failed", "unknown", "running", "waiting")


@dataclass(frozen=True)
class Batch:
    """A batch at one moment: its counts, its rows, the accounts that stopped, and whether its run has ended."""

    status: vidpoll.BatchStatus
    rows: Sequence[vidpoll.RowResult]
    stops: Mapping[str, str]
    """By account, the hook's text about its stop."""
    ended: bool = False


def section(batch: Batch, numbers: Mapping[str, str], links: Mapping[str, Child]) -> Markup:
    """The section of a batch. By reference: `numbers` are the jobs' anchors in the gallery, `links` their files."""
    status = batch.status
    left = "" if batch.ended else status.left(status.at)
    head = [tag("p", f"{status}, {left} left" if left else str(status), class_="said")]
    head += [tag("p", stop, class_="problem") for stop in batch.stops.values()]
    rows = [_row(result, numbers, links) for result in batch.rows]
    table = _table(("row", "prompt", "state", "cost", "tries", "files"), rows)
    return tag("section", tag("h2", f"Batch {status.name}"), head, _tiles(status), _accounts(batch), table)


def _tiles(status: vidpoll.BatchStatus) -> Markup:
    tiles = [("rows", f"{status.total:,}", "")]
    tiles += [(state, f"{status.states[state]:,}", state) for state in STATES if status.states.get(state)]
    tiles += [(f"wait: {why}", f"{number:,}", "waiting") for why, number in sorted(status.waiting.items())]
    tiles += [(f"{unit} spent", _amount(amount), "") for unit, amount in status.spent.items() if unit]
    tiles += [(f"{unit} reserved", _amount(each), "") for unit, each in status.reserved.items() if unit and each]
    tiles += [(f"{status.budget.unit} at most", _amount(status.budget.amount), "")] if status.budget else []
    shown = [tag("div", tag("dt", name), tag("dd", text), class_=f"tile {word}".strip()) for name, text, word in tiles]
    return tag("dl", shown, class_="tiles")


def _accounts(batch: Batch) -> Markup:
    """The costs of the rows, by account and unit; units are never mixed."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    states: dict[str, Counter[str]] = {each.account: Counter() for each in batch.status.accounts}
    for result in batch.rows:
        account = result.row.account
        states.setdefault(account, Counter())[result.state] += 1
        if (cost := result.cost) is not None:
            found = sums[account, cost.unit]
            found[0] += cost.charged
            found[1] += cost.refunded
            found[2] += cost.charged if cost.how == "estimated" else 0.0
    rows = []
    for account, counts in states.items():
        said = ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state])
        for unit in [unit for each, unit in sums if each == account] or [""]:
            amounts = [f"{_amount(each)} {unit}" if each else "" for each in sums[account, unit]]
            rows.append((account, said, *amounts))
    return _table(("account", "rows", "charged", "refunded", "estimated"), rows)


def _table(names: Sequence[str], rows: Iterable[Sequence[Child]]) -> Markup:
    """A table. On a narrow screen each cell shows the name of its column, and empty cells are left out."""
    cells = ([tag("td", child, data_name=name) for name, child in zip(names, row, strict=True)] for row in rows)
    head = tag("thead", tag("tr", [tag("th", name) for name in names]))
    return tag("table", head, tag("tbody", [tag("tr", row) for row in cells]), class_="rows")


def _row(result: vidpoll.RowResult, numbers: Mapping[str, str], links: Mapping[str, Child]) -> Sequence[Child]:
    ref = "" if result.job is None else result.job.ref
    key = tag("a", result.key, href=f"#{numbers[ref]}", class_="ref") if ref in numbers else result.key
    prompt = prompt_of(result.row.fields)
    why = result.why if result.state == "waiting" else ""
    said = result.problem
    state = [
        tag("b", result.state, class_=f"chip {result.state}"),
        tag("span", f" {why}", class_="dim") if why else None,
    ]
    state += [tag("p", said, class_="problem clamp", title=said)] if said else []
    shown = tag("div", prompt, class_="clamp", title=prompt) if prompt else None
    return key, shown, state, _cost(result), result.attempts or None, links.get(ref)


def _cost(result: vidpoll.RowResult) -> str:
    cost = result.cost
    if cost is None:
        return ""
    refunded = f", {_amount(cost.refunded)} refunded" if cost.refunded else ""
    return f"{_amount(cost.charged)} {cost.unit}{refunded}{' (estimated)' if cost.how == 'estimated' else ''}"


def _amount(amount: float) -> str:
    return f"{round(amount, 6):,.12g}"
