"""The command `batch`: its options, its exit codes, what it says, and the lines that go on."""

from __future__ import annotations

import io
import json
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from acme_provider import Plugin
from batch_runs import SHOP, Server, lost, shop
from shell import Shell

import vidpoll
from vidpoll.testing import FakeClock

Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def server() -> Server:
    return Server(FakeClock())


@pytest.fixture
def run(shell: Shell, server: Server, tmp_path: Path) -> Run:
    """Runs `vidpoll batch` at two shops, with one store; a sheet of three rows is there."""
    write(tmp_path / "night.csv", "a", "b", "c")

    def batch(*argv: str, plugins: tuple[object, ...] = ()) -> tuple[int, list[str], list[str]]:
        shops = Plugin(SHOP, shop("other"), name="shops")
        store = () if "--no-store" in argv else ("--store", "kept.sqlite3")
        return shell("batch", *argv, *store, script=server, plugins=(shops, *plugins))

    return batch


def write(path: Path, *keys: str) -> None:
    path.write_text("key,prompt\n" + "".join(f"{key},p{key}\n" for key in keys), encoding="utf-8")


NIGHT = ("night.csv", "shop", "clip")
LINE = "vidpoll batch night.csv shop clip"
GO_ON = f"continue with: {LINE} --store kept.sqlite3"
LIMIT = "stopped: limit; continue with a larger limit or none"


def test_the_same_line_again_buys_nothing(run: Run, server: Server, tmp_path: Path) -> None:
    """Rows are told as they end, files are in a folder of the batch's name."""
    code, out, err = run(*NIGHT)
    assert code == 0
    assert sorted(line.partition(" s  ")[2] for line in out[:-1]) == [f"{key}: night/{key}.mp4" for key in "abc"]
    assert (out[-1], err) == ("night: 3 of 3 done", [f"vidpoll: {PLAN}"])
    assert sorted(path.name for path in (tmp_path / "night").iterdir())[:2] == ["a.mp4", "a.mp4.json"]
    assert run(*NIGHT, "--quiet") == (0, ["night: 3 of 3 done"], [])
    assert server.bought == ["pa", "pb", "pc"]


PLAN = "night: 3 rows (3 new); to buy 3 without a known price"


@pytest.mark.parametrize(
    ("options", "last", "bought"),
    [
        (["--limit", "1"], f"1 of 3 done; 2 waiting; {LIMIT}: {LINE} --store kept.sqlite3", 1),
        (["--limit", "2"], f"2 of 3 done; 1 waiting; {LIMIT}: {LINE} --limit 2 --store kept.sqlite3", 2),
        (["--budget", "1 USD", "--price", "shop/clip=0.4USD"],
         ("2 of 3 done, 0.8 of 1 USD; 1 waiting; stopped: budget; continue with a larger budget: "
          f"{LINE} --budget '1 USD' --store kept.sqlite3 --price shop/clip=0.4USD"), 2),
        (["--until", "2099-01-01T07:00"], "3 of 3 done", 3),
        (["--only", "b"], "1 of 1 done", 1),
        (["--only", "b", "--only", "c"], "2 of 2 done", 2),
        (["--slots", "shop=1"], "3 of 3 done", 3),
        (["--retries", "0", "--retries-paid", "2"], "3 of 3 done", 3),
    ],
)  # fmt: skip
def test_bounds(run: Run, server: Server, options: list[str], last: str, bought: int) -> None:
    """What an option allows is bought, and no more; the last line says what goes on."""
    code, out, _ = run(*NIGHT, *options)
    assert (code, out[-1], len(server.bought)) == (4 if "waiting" in last else 0, f"night: {last}", bought)
    assert server.most == (1 if "shop=1" in options else bought)


def test_options_of_names_and_places(run: Run, tmp_path: Path) -> None:
    """--into, --name, --file and --report say where things go."""
    assert run(*NIGHT, "--into", "films", "--name", "n1", "--file", "{n}-{prompt:2}", "--report", "done.jsonl")[0] == 0
    assert sorted(path.name for path in (tmp_path / "films").glob("*.mp4")) == ["1-pa.mp4", "1-pb.mp4", "1-pc.mp4"]
    rows = [json.loads(line) for line in (tmp_path / "done.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["key"], row["state"], row["file"]) for row in rows] == [
        (key, "completed", [f"films/1-p{key}.mp4"]) for key in "abc"
    ]


def test_failed_rows_wait_to_be_asked_for(run: Run, server: Server) -> None:
    """1: some failed for good. The next run leaves them, --retry-failed buys them again."""
    server.refuse = lambda prompt, time: (400, "bad") if prompt == "pb" and time == 1 else None
    code, out, err = run(*NIGHT)
    assert (code, out[-1]) == (1, "night: 2 of 3 done; 1 failed")
    assert err[-1] == (
        "vidpoll: only --retry-failed buys again what failed for good; "
        "without it, the same command downloads files that could not be saved"
    )
    assert (run(*NIGHT)[0], server.sent.count("pb")) == (1, 1)
    assert run(*NIGHT, "--retry-failed")[0] == 0
    assert server.bought == ["pa", "pc", "pb"]


@pytest.mark.parametrize(
    ("price", "cost", "held"),
    [([], "", ""), (["--price", "shop/clip=0.4USD"], ", 0.8 USD", " (0.4 USD stay reserved)")],
)
def test_unknown_rows_are_never_sent_again(run: Run, server: Server, price: list[str], cost: str, held: str) -> None:
    """3: some are unknown; this run, and the next one, say how to find out, and what they may have cost."""
    server.refuse = lambda prompt, time: lost() if prompt == "pb" else None
    for _ in range(2):
        code, out, err = run(*NIGHT, *price)
        assert (code, out[-1]) == (3, f"night: 2 of 3 done{cost}; 1 unknown")
        assert sum(" b unknown: " in line and "may have been received (the line is dead)" in line for line in err) == 1
        line = "`vidpoll resume --store kept.sqlite3`"
        assert (
            err[-1] == f"vidpoll: a row of unknown outcome is never sent again{held}: {line} shows which job it may be"
        )
    (problem,) = [row["problem"] for row in map(json.loads, run(*NIGHT, "--json")[1]) if row.get("state") == "unknown"]
    assert "batch:night/b/1" in problem
    assert server.sent.count("pb") == 1


def test_an_account_that_stops(run: Run, server: Server) -> None:
    """4: its rows wait, and the same line goes on."""
    server.refuse = lambda prompt, time: (402, "broke") if len(server.bought) == 1 else None
    code, out, err = run(*NIGHT, "--slots", "shop=1")
    assert code == 4
    assert out[-1] == f"night: 1 of 3 done; 2 waiting; stopped: money at shop; {GO_ON} --slots shop=1"
    assert err[-1] == "vidpoll: shop stopped (money): HTTP 402: broke"
    server.refuse = lambda prompt, time: None
    line = out[-1].partition("continue with: vidpoll batch ")[2]
    assert run(*[word for word in shlex.split(line) if word not in ("--store", "kept.sqlite3")])[0] == 0


def test_a_missing_key_is_told_in_the_plan(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of a command line, where a key comes from the environment alone."""
    monkeypatch.delenv("ACME_API_KEY")
    _, out, _ = run(*NIGHT, "--dry-run")
    assert "will not be sent: shop: no key. Set the environment variable ACME_API_KEY" in " ".join(map(str.strip, out))
    code, out, err = run(*NIGHT)
    assert (code, server.sent) == (4, [])
    assert err[-1] == "vidpoll: shop stopped (auth): shop: no key. Set the environment variable ACME_API_KEY"


# -- the plan ---------------------------------------------------------------------------------------------------------


def test_a_dry_run(run: Run, server: Server) -> None:
    """The plan as text and as JSON; no job is sent."""
    options = ("--dry-run", "--budget", "1 USD", "--price", "shop/clip=0.4USD", "--limit", "1")
    code, out, err = run(*NIGHT, *options)
    assert (code, err, server.sent) == (0, [], [])
    assert out[:4] == [
        "night: 3 rows",
        "  rows    3 new",
        "  to buy  3",
        "          shop: 3 for 1.2 USD (given), 3 at once",
    ]
    code, out, _ = run(*NIGHT, *options, "--json")
    plan = json.loads(out[0])
    assert (code, plan["rows"], plan["new"], plan["to_buy"], plan["allowed"]) == (0, 3, 3, 3, 1)
    assert plan["budget"] == {"amount": 1.0, "unit": "USD"}
    assert plan["prices"] == [
        {"account": "shop", "rows": 3, "low": 1.2, "high": 1.2, "unit": "USD", "sources": ["given"]}
    ]  # fmt: skip
    assert plan["problems"] == []


def test_a_budget_without_a_price_is_refused(run: Run, server: Server) -> None:
    """In the plan, and before anything is sent."""
    way = "--price shop/clip=0.35USD"
    said = f"row 2: shop/clip, 3 rows: no price is known; give one with {way}"
    code, out, _ = run(*NIGHT, "--budget", "1 USD", "--dry-run", "--json")
    assert (code, json.loads(out[0])["problems"]) == (2, [said])
    assert run(*NIGHT, "--budget", "1 USD", "--quiet") == (
        2, [], ["vidpoll: night: 1 problem, nothing was sent", f"vidpoll:   {said}"]
    )  # fmt: skip
    assert server.sent == []


def test_edited_removed_and_sorted_rows(run: Run, server: Server, tmp_path: Path) -> None:
    """A bought row that was edited is asked about; one that is gone is named; the order says nothing."""
    run(*NIGHT)
    (tmp_path / "night.csv").write_text("prompt,key\npb,b\nnew,a\n", encoding="utf-8")
    code, _, err = run(*NIGHT, "--quiet")
    assert (code, len(err)) == (2, 2)
    assert err[1].startswith("vidpoll:   row 3, column key: 'a' is completed with other fields (changed: prompt);")
    assert "  gone    no longer in the input, not cancelled: c" in run(*NIGHT, "--dry-run")[1]
    assert (run(*NIGHT, "--changed", "keep")[0], len(server.bought)) == (0, 3)
    code, out, _ = run(*NIGHT, "--changed", "again")
    assert (code, server.bought[3:]) == (0, ["new"])
    assert out[0].endswith("a: night/a~2.mp4")


# -- for machines -----------------------------------------------------------------------------------------------------


def test_json(run: Run) -> None:
    """An object a row, and one at the end with the line that goes on."""
    code, out, err = run(*NIGHT, "--json", "--limit", "1")
    row, end = map(json.loads, out)
    assert (code, err) == (4, [])
    assert {name: row[name] for name in ("key", "state", "ref", "files", "cost", "attempts")} == {
        "key": "a", "state": "completed", "ref": "shop:n1", "files": ["night/a.mp4"], "cost": None, "attempts": 1
    }  # fmt: skip
    assert (end["states"], end["waiting"], end["exit_code"]) == ({"completed": 1, "waiting": 2}, {"limit": 2}, 4)
    assert [stop["reason"] for stop in end["stopped"]] == ["limit"]
    assert end["go_on"] == GO_ON.partition(": ")[2]


# -- what is wrong ----------------------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once(run: Run, server: Server, tmp_path: Path) -> None:
    """A line for each, with row and column; also as JSON."""
    sheet = "key,account,prompt,image:file\na,shop,x,../x.png\na,shoop,y,\nA,,z,none.png\n"
    (tmp_path / "wrong.csv").write_text(sheet, encoding="utf-8")
    code, out, err = run("wrong.csv", "shop", "clip", "--json")
    told = json.loads(out[0])["problems"]
    assert (code, len(told), server.sent) == (2, 4, [])
    assert err == ["vidpoll: wrong: 4 problems, nothing was sent", *(f"vidpoll:   {each}" for each in told)]
    columns = [each.partition(":")[0].partition(", column ")[2] for each in told]
    assert columns == ["image", "account", "image", "key"]
    assert "did you mean 'shop'?" in told[1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["none.csv", "shop", "clip"], "cannot read none.csv: No such file or directory"),
        (
            ["night.csv", "shop", "clip", "more"],
            "'more' is not a field: write fields as NAME=VALUE after ACCOUNT and KIND",
        ),
        ([*NIGHT, "--until", "25:00"], "--until must be a time of day like '07:00', or a date and time like "),
        ([*NIGHT, "--until", "2020-01-01T00:00"], "--until must be in the future, got '2020-01-01T00:00'"),
        ([*NIGHT, "--budget", "40"], "--budget must be an amount above 0 with its unit, like '40 USD' or "),
        ([*NIGHT, "--price", "shop=1USD"], "--price 'shop' must name ACCOUNT/KIND, like 'kling/text2video'"),
        ([*NIGHT, "--price", "shop/clip=1"], "--price 'shop/clip' must be an amount with its unit, like "),
        ([*NIGHT, "--price", "shop/clap=1USD"], "shop: no submit operation 'clap'; it has: clip"),
        ([*NIGHT, "--price", "1USD"], "batch: argument --price: '1USD' is not ACCOUNT/KIND=AMOUNT, like "),
        ([*NIGHT, "--slots", "shoop=1"], "no provider 'shoop': did you mean 'shop'?"),
        ([*NIGHT, "--slots", "shop=0"], "batch: argument --slots: '0' is not a whole number, 1 or more; "),
        ([*NIGHT, "--limit", "0"], "batch: argument --limit: '0' is not a whole number, 1 or more; "),
        ([*NIGHT, "--retries", "-1"], "batch: argument --retries: "),
        ([*NIGHT, "--only", "z"], "--only 'z': no row has this key"),
        ([*NIGHT, "--report", "night.csv"], "--report 'night.csv' must not be the input, which is never written: "),
        ([*NIGHT, "--report", "done.txt"], "--report must end in .csv or .jsonl, got 'done.txt'"),
        ([*NIGHT, "--into", "night.csv"], "--into: cannot save files in 'night.csv': "),
        ([*NIGHT, "--report", "night.csv/done.csv", "--dry-run"], "--report: cannot save files in 'night.csv': "),
        ([*NIGHT, "--name", "a\nb"], r"--name must be text on one line, got 'a\nb': pass --name night"),
        ([*NIGHT, "--no-store"], "batch: a batch needs its store, so that nothing is bought twice: omit --no-store"),
        (
            ["night.csv", "--base-url", "http://127.0.0.1:9"],
            "--base-url applies to one account: name that account after FILE, or ",
        ),
    ],
)  # fmt: skip
def test_a_wrong_call(run: Run, server: Server, argv: list[str], said: str) -> None:
    """2, in one line with the option's own name; nothing is sent."""
    code, out, err = run(*argv)
    assert (code, out, len(err), server.sent) == (2, [], 1, [])
    assert err[0].startswith(f"vidpoll: {said}")


def test_a_store_that_cannot_be_used(shell: Shell, tmp_path: Path, server: Server) -> None:
    """Nothing is sent without one: no promise could be kept."""
    write(tmp_path / "night.csv", "a")
    code, out, err = shell(
        "batch", *NIGHT, "--store", "night.csv", script=server, plugins=(Plugin(SHOP, name="shops"),)
    )
    assert (code, out, len(err), server.sent) == (2, [], 1, [])
    assert err[0].endswith(". A batch needs a store, so nothing was sent; name another one with --store FILE")


def test_takes_are_named_by_their_number(run: Run, tmp_path: Path) -> None:
    """`count` makes rows of its own keys; who asks for the row is told of them."""
    (tmp_path / "night.csv").write_text("key,prompt,count\na,x,2\n", encoding="utf-8")
    assert run(*NIGHT, "--only", "a")[2] == ["vidpoll: --only 'a': no row has this key; did you mean 'a#1'?"]
    assert run(*NIGHT, "--only", "a#2")[0] == 0


# -- where ------------------------------------------------------------------------------------------------------------


def test_an_address_is_that_of_the_account_that_is_named(run: Run, server: Server) -> None:
    """The word after FILE is enough, and the line that goes on has it, too."""
    url = "https://my.example"
    code, out, _ = run(*NIGHT, "--base-url", url, "--limit", "1", "--json")
    assert (code, json.loads(out[-1])["go_on"]) == (
        4, f"vidpoll batch night.csv shop clip --base-url {url} --store kept.sqlite3"
    )  # fmt: skip
    assert all(asked.startswith(f"{url}/") for asked in server.urls)


def test_rows_from_standard_input(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that goes on says that they are needed again."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"key,prompt\na,x\nb,y\n")))
    code, out, _ = run("-", "shop", "clip", "--name", "piped", "--limit", "1")
    assert (code, server.bought) == (4, ["x"])
    assert out[-1].endswith(
        "vidpoll batch - shop clip --name piped --store kept.sqlite3  # with the same rows on standard input"
    )


# -- signals ----------------------------------------------------------------------------------------------------------


class Signals:
    """Sends this process a signal, so many times, when the first job is done."""

    def __init__(self, number: int, times: int) -> None:
        self.name, self.number, self.times = "signals", number, times

    @vidpoll.hookimpl
    def vidpoll_completed(self) -> None:
        times, self.times = self.times, 0
        for _ in range(times):
            signal.raise_signal(self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_ends_gently(run: Run, server: Server, number: int, code: int) -> None:
    """No further row is sent, and the last line goes on."""
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    found, out, err = run(*NIGHT, "--slots", "shop=1", plugins=(Signals(number, 1),))
    assert (found, server.bought) == (code, ["pa"])
    assert err[-1].startswith("vidpoll: ending: no further row is sent; ")
    assert out[-1].endswith(f"; {GO_ON} --slots shop=1")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert (run(*NIGHT)[0], server.bought) == (0, ["pa", "pb", "pc"])


def test_the_second_signal_leaves(run: Run, server: Server) -> None:
    """At once, with the line that goes on; nothing is bought twice by it."""
    code, _, err = run(*NIGHT, "--slots", "shop=1", plugins=(Signals(signal.SIGINT, 2),))
    assert (code, err[-1]) == (130, f"vidpoll: interrupted; {GO_ON} --slots shop=1")
    assert (run(*NIGHT)[0], server.bought) == (0, ["pa", "pb", "pc"])
