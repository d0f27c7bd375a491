"""Finding plugins, checking them, and calling them one by one."""

from __future__ import annotations

import importlib
import inspect
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from acme_provider import ACME, Plugin

import vidpoll
from vidpoll import named
from vidpoll.events import Completed
from vidpoll.job import Job
from vidpoll.plugins import HOOKS, PluginReport, Plugins
from vidpoll.storage.sqlite import SqliteStore


@dataclass
class Dist:
    name: str
    version: str = "1.0"


@dataclass
class Entry:
    """An entry point; loading it gives `thing`, or raises it."""

    name: str
    thing: object
    dist: Dist | None
    value: str = "somewhere:thing"
    attr: str = "thing"

    def load(self) -> object:
        if isinstance(self.thing, BaseException):
            raise self.thing
        return self.thing


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs plugins: pairs of entry point name and thing, or triples with a distribution."""

    def install(*plugins: Any) -> None:
        entries = [Entry(name, thing, Dist(rest[0] if rest else f"vidpoll-{name}")) for name, thing, *rest in plugins]

        def entry_points(*, group: str) -> list[Entry]:
            assert group == "vidpoll"
            return entries

        monkeypatch.setattr(metadata, "entry_points", entry_points)

    return install


class Hears:
    """A notifier whose implementations note who was called."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls

    @vidpoll.hookimpl
    def vidpoll_completed(self) -> None:
        self.calls.append(self.name)


class Misspelt:
    @vidpoll.hookimpl
    def vidpoll_complete(self, job: Any) -> None:
        raise AssertionError


def providing(what: Any) -> object:
    class Junk:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> Any:
            if isinstance(what, BaseException):
                raise what
            return what

    return Junk()


EVENT = Completed("acme:1", 0.0)


# -- finding ----------------------------------------------------------------------------------------------------------


def test_installed_plugins_are_found(installed: Any) -> None:
    """By the entry-point group `vidpoll`; the report tells where each came from and what it brings."""
    installed(("acme", Plugin(ACME)), ("chat", Hears("chat", [])))
    plugins = Plugins()
    assert list(plugins.providers) == ["acme"]
    assert [(r.name, r.distribution, r.version, r.hooks, r.providers, r.problem) for r in plugins.reports] == [
        ("acme", "vidpoll-acme", "1.0", ("vidpoll_providers",), ("acme",), None),
        ("chat", "vidpoll-chat", "1.0", ("vidpoll_completed",), (), None),
    ]
    assert plugins.problems == []


def test_discover_false_takes_no_installed_plugin(installed: Any) -> None:
    """A client for tests is not touched by what is installed."""
    installed(("acme", Plugin(ACME)))
    assert Plugins(discover=False).providers == {}
    assert Plugins(discover=True).providers == {"acme": ACME}


@pytest.mark.parametrize(
    "error", [ImportError("no module named x"), SyntaxError("bad"), RuntimeError("boom"), SystemExit(3)]
)
def test_a_plugin_that_does_not_import_is_reported_and_skipped(
    installed: Any, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """The others still work, and the log names the culprit."""
    installed(("broken", error), ("acme", Plugin(ACME)))
    with caplog.at_level(logging.WARNING, "vidpoll"):
        plugins = Plugins()
    assert list(plugins.providers) == ["acme"]
    (problem,) = plugins.problems
    assert (problem.name, problem.distribution) == ("broken", "vidpoll-broken")
    assert problem.problem == f"does not import: {type(error).__name__}: {error}"
    assert "plugin broken (vidpoll-broken) is skipped" in caplog.text


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (["acme"], "vidpoll_providers must give Providers, got str"),
        ("acme", "vidpoll_providers must give Providers, got str"),
        (5, "TypeError"),
        (ValueError("boom"), "ValueError: boom"),
        (SystemExit(3), "SystemExit: 3"),
        ([ACME, None], "vidpoll_providers must give Providers, got NoneType"),
    ],
)
def test_a_plugin_that_yields_junk_is_unregistered(installed: Any, what: Any, says: str) -> None:
    """None of its hooks is called, none of its providers is known."""
    installed(("junk", providing(what)))
    plugins = Plugins()
    assert says in str(plugins.problems[0].problem)
    assert (plugins.providers, plugins.manager.get_plugins()) == ({}, set())


@pytest.mark.parametrize("thing", [KeyboardInterrupt(), providing(KeyboardInterrupt())])
def test_ctrl_c_while_plugins_load_is_not_a_problem_of_a_plugin(installed: Any, thing: object) -> None:
    """It ends the program."""
    installed(("acme", thing))
    with pytest.raises(KeyboardInterrupt):
        Plugins()


def test_a_hook_with_unknown_arguments_is_a_problem(installed: Any) -> None:
    """Arguments are taken by name; one that no event has is told when the plugin is loaded, not when it happens."""

    class Asks:
        @vidpoll.hookimpl
        def vidpoll_completed(self, jobs: Any) -> None:
            """Never called."""

    installed(("asks", Asks()))
    plugins = Plugins()
    assert "jobs" in str(plugins.problems[0].problem)
    plugins.tell(Job("acme:1"), EVENT)


# -- loading by need --------------------------------------------------------------------------------------------------

ONE = """
import vidpoll
from acme_provider import ACME
from dataclasses import replace

calls = []

@vidpoll.hookimpl
def vidpoll_providers():
    calls.append("providers")
    yield replace(ACME, name="{name}")

@vidpoll.hookimpl
def vidpoll_completed():
    calls.append("completed")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution, as pip leaves it: its entry points, and modules by name."""

    def install(distribution: str, entries: dict[str, str], **modules: str) -> None:
        about = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n", "utf-8")
        lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
        (about / "entry_points.txt").write_text(f"[vidpoll]\n{lines}", encoding="utf-8")
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")

    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    real = metadata.entry_points

    def ours(**wanted: str) -> list[metadata.EntryPoint]:  # and not those that the tests' machine has
        return [each for each in real(**wanted) if each.dist is not None and each.dist.name.startswith("try")]

    monkeypatch.setattr(metadata, "entry_points", ours)
    yield install
    for name in [name for name in sys.modules if name not in before and name.startswith("try")]:
        del sys.modules[name]


def pack(site: Callable[..., None], *names: str, **sources: str) -> None:
    """A distribution with a provider by need for each name; `sources` are modules that are another text."""
    entries = {name: f"try_{name}:vidpoll_providers" for name in (*names, *sources)}
    modules = {f"try_{name}": ONE.format(name=name) for name in names}
    site("try-pack", entries, **modules, **{f"try_{name}": source for name, source in sources.items()})


def tried() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("try"))


def test_a_provider_is_loaded_when_it_is_asked_for(site: Callable[..., None]) -> None:
    """Its entry point names the function; before, its name is known and nothing of it is imported."""
    pack(site, "one", "two", "three")
    plugins = Plugins()
    assert (plugins.names, tried()) == (["one", "three", "two"], [])
    assert PluginReport("one", "try-pack", "1.2", (), ("one",), loaded=False) in plugins.reports
    with pytest.raises(vidpoll.UnknownProvider, match=r"did you mean 'three'.*installed: one, three, two"):
        plugins.provider("threee")
    assert tried() == []
    assert plugins.provider("two").name == "two"
    assert (plugins.names, tried()) == (["one", "three", "two"], ["try_two"])
    hooks = ("vidpoll_completed", "vidpoll_providers")
    assert [(report.name, report.hooks, report.loaded) for report in plugins.reports] == [
        ("one", (), False), ("three", (), False), ("two", hooks, True),
    ]  # fmt: skip
    assert (list(plugins.providers), tried()) == (["one", "three", "two"], ["try_one", "try_three", "try_two"])


def test_what_is_loaded_by_need_is_a_plugin_from_then_on(site: Callable[..., None]) -> None:
    """Its other hooks are called, once each, whatever else is asked for; passed beside, it is the same plugin."""
    pack(site, "one")
    plugins = Plugins()
    plugins.tell(Job("one:1"), EVENT)
    assert [plugins.provider("one"), plugins.provider("one"), plugins.providers["one"]] == [plugins.provider("one")] * 3
    plugins.tell(Job("one:1"), EVENT)
    module = sys.modules["try_one"]
    assert module.calls == ["providers", "completed"]
    passed = Plugins([module])
    assert [(report.name, report.distribution) for report in passed.reports] == [("one", "try-pack")]


def test_a_provider_is_loaded_once_for_all_threads(site: Callable[..., None]) -> None:
    """Eight clients' threads that ask at once wait for one import, and get the same provider."""
    slow = ONE.replace("    calls.append", "    import time; time.sleep(0.05); calls.append", 1).format(name="one")
    pack(site, one=slow)
    plugins, start = Plugins(), threading.Barrier(8)

    def ask() -> vidpoll.Provider:
        start.wait()
        return plugins.provider("one")

    with ThreadPoolExecutor(8) as pool:
        found = [each.result() for each in [pool.submit(ask) for _ in range(8)]]
    assert (len(set(map(id, found))), sys.modules["try_one"].calls) == (1, ["providers"])


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import rust_that_is_not_there", "does not import: ModuleNotFoundError"),
        ("def providers(): pass", "does not import: AttributeError"),
        (ONE.format(name="other"), "the entry point 'one' promises the provider of that name, but .* gave other;"),
        (
            ONE.replace("    yield", "    return []; yield"),
            "gave none; for others, the entry point must name the module",
        ),
        ("import vidpoll\nvidpoll_providers = vidpoll.hookimpl(lambda: 1 // 0)", "ZeroDivisionError"),
    ],
)
def test_a_broken_provider_is_told_when_it_is_used(site: Callable[..., None], source: str, says: str) -> None:
    """The error names the distribution and the reason, and so does the report; the others work."""
    pack(site, "two", one=source)
    plugins = Plugins()
    for _ in range(2):
        with pytest.raises(vidpoll.UnknownProvider, match=rf"^the plugin one \(try-pack\) is broken: .*{says}"):
            plugins.provider("one")
    assert [(report.name, bool(report.problem)) for report in plugins.reports] == [("one", True), ("two", False)]
    assert list(plugins.providers) == plugins.names == ["two"]


def test_one_provider_in_two_distributions_is_told_at_once(site: Callable[..., None]) -> None:
    """Both are named; nothing is imported to find out."""
    pack(site, "one")
    site("try-other", {"one": "try_elsewhere:vidpoll_providers"})
    with pytest.raises(vidpoll.PluginError, match=r"a provider 'one': try-(pack|other) and try-(other|pack)"):
        Plugins()
    assert tried() == []


def test_a_passed_provider_may_not_take_the_name_of_one_that_waits(site: Callable[..., None]) -> None:
    """Nor may an installed one that is loaded at once."""
    pack(site, "acme")
    with pytest.raises(vidpoll.PluginError, match="a provider 'acme': try-pack and acme-plugin"):
        Plugins([Plugin(ACME)])
    site("try-whole", {"whole": "try_whole"}, try_whole=ONE.format(name="acme"))
    with pytest.raises(vidpoll.PluginError, match="a provider 'acme': try-pack and try-whole"):
        Plugins()


def test_a_provider_by_need_can_be_switched_off(site: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, like any plugin; the rest of its distribution stays."""
    pack(site, "one", "two")
    monkeypatch.setenv("VIDPOLL_DISABLE", "one")
    with vidpoll.Client() as client:
        assert list(client.providers) == ["two"]
        with pytest.raises(vidpoll.UnknownProvider, match="the plugin one is switched off"):
            client.provider("one")
    assert tried() == ["try_two"]


# -- hooks that are never called --------------------------------------------------------------------------------------

CHAT = """
import vidpoll

class Chat:
    @vidpoll.hookimpl
    def vidpoll_completed(self, job):
        pass
"""
TAKES = "night.vidpoll_completed takes job, event"
NOTHING = "no function in the module try_night is marked with @vidpoll.hookimpl"
CLASS = f"{NOTHING}; it has the class Chat"
LAZY = """
class Lazy:
    def __getattr__(self, name):
        raise RuntimeError("no application")

current_app = Lazy()
"""


@pytest.mark.parametrize(
    ("source", "name", "says"),
    [
        ("", "", NOTHING),
        (
            CHAT,
            "",
            f'{CLASS}: add chat = Chat() to it, and name that object (night = "try_night:chat")',
        ),
        (f"{CHAT}{LAZY}\nsay = Chat()", "", f'{NOTHING}; it has the object say: name that (night = "try_night:say")'),
        (
            CHAT,
            ":Chat",
            f"{TAKES}; it has no 'self'; if it is a method, name an instance of its class",
        ),
        ("from acme_provider import ACME", ":ACME", "no function of its Provider is marked with @vidpoll.hookimpl"),
        (
            "def vidpoll_complete(job): pass",
            "",
            "vidpoll_complete is not called: mark it with @vidpoll.hookimpl and name it vidpoll_completed",
        ),
    ],
)
def test_an_installed_plugin_without_a_marked_function(
    site: Callable[..., None], source: str, name: str, says: str
) -> None:
    """It is skipped, a warning says so, and what would be called is named."""
    site("try-night", {"night": f"try_night{name}"}, try_night=source)
    warned = pytest.warns(UserWarning, match=f"^plugin night: {re.escape(says)}$")
    with nullcontext() if name == ":Chat" else warned:
        plugins = Plugins()
    assert [(each.name, each.problem) for each in plugins.problems] == [("night", f"PluginError: {says}")]


def test_an_object_that_cannot_be_looked_into_is_no_hook(site: Callable[..., None]) -> None:
    """As flask's current_app outside of an application; the module's functions are called."""
    site("try-night", {}, try_night=f"{LAZY}\nimport vidpoll\n@vidpoll.hookimpl\ndef vidpoll_completed(job): pass")
    (report,) = Plugins([importlib.import_module("try_night")], discover=False).reports
    assert (report.problem, report.hooks) == (None, ("vidpoll_completed",))


def test_a_passed_module_whose_class_has_the_hooks(site: Callable[..., None]) -> None:
    """The error says what to pass."""
    site("try-night", {}, try_night=CHAT)
    with pytest.raises(vidpoll.UsageError, match=r"@vidpoll.hookimpl; pass try_night.Chat\(\)$"):
        Plugins([importlib.import_module("try_night")])


def test_functions_that_are_never_called_are_in_the_report(installed: Any) -> None:
    """Those of the plugin, and those of the notifiers that it makes."""

    class Noted:
        name = "noted"

        @vidpoll.hookimpl
        def vidpoll_notifiers(self) -> Any:
            return [Misspelt()]

        def vidpoll_failed(self, job: Any) -> None:
            """Never called."""

    installed(("noted", Noted()))
    with pytest.warns(UserWarning, match="plugin noted") as warned:
        (report,) = Plugins().reports
    assert report.problem is None
    assert list(report.never_called) == [str(each.message) for each in warned] == [
        "plugin noted: vidpoll_failed is not called: mark it with @vidpoll.hookimpl",
        "plugin noted-notifier: there is no hook vidpoll_complete; did you mean vidpoll_completed?",
    ]  # fmt: skip


# -- duplicates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("acme", "acme2"), ("acme", "acme")])
def test_two_plugins_with_one_provider_name_stop_everything(installed: Any, names: tuple[str, str]) -> None:
    """Nobody could tell where a key would go: the error names both distributions, whatever their names."""
    installed((names[0], Plugin(ACME), "vidpoll-acme"), (names[1], Plugin(ACME), "acme-for-vidpoll"))
    with pytest.raises(vidpoll.PluginError, match="a provider 'acme': vidpoll-acme and acme-for-vidpoll"):
        Plugins()


def test_two_plugins_of_one_name_are_two_plugins(installed: Any) -> None:
    """Two distributions may choose the same name for what they bring; both are called."""
    calls: list[str] = []
    installed(("chat", Hears("one", calls), "chat-one"), ("chat", Hears("two", calls), "chat-two"))
    plugins = Plugins()
    plugins.tell(Job("acme:1"), EVENT)
    assert (sorted(calls), plugins.problems) == (["one", "two"], [])


def test_a_plugin_that_is_installed_and_passed_is_one_plugin(installed: Any) -> None:
    """And so is one that is passed twice: its hooks fire once."""
    calls: list[str] = []
    hears = Hears("chat", calls)
    installed(("chat", hears))
    plugins = Plugins([hears, hears])
    plugins.tell(Job("acme:1"), EVENT)
    assert (calls, len(plugins.reports)) == (["chat"], 1)


# -- checking ---------------------------------------------------------------------------------------------------------


def test_a_misspelt_hook_is_heard_of() -> None:
    """With the name that was meant."""
    with pytest.warns(
        UserWarning, match=r"plugin Misspelt: there is no hook vidpoll_complete; did you mean vidpoll_comp"
    ):
        Plugins([Misspelt()], discover=False)


def test_a_misspelt_hook_is_shown_at_the_callers_line() -> None:
    """The line that passes the plugin, and not one of vidpoll."""
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.warns(UserWarning, match="there is no hook vidpoll_complete") as warned:
        vidpoll.Client(plugins=[Misspelt()], discover=False).close()
    assert [(each.filename, each.lineno) for each in warned] == [(__file__, line)]


@pytest.mark.parametrize(
    ("hook", "function", "said"),
    [
        ("vidpoll_failed", lambda job, evnt: None, "Told.vidpoll_failed takes job, event; it has no 'evnt'"),
        ("vidpoll_providers", lambda environ: (), "Told.vidpoll_providers takes no parameters; it has no 'environ'"),
        ("heard", lambda evnt: None, "Told.heard takes job, event; it has no 'evnt'"),
    ],
)
def test_a_wrong_parameter_is_named(hook: str, function: Callable[..., object], said: str) -> None:
    """With the parameters that the hook has."""
    marked = vidpoll.hookimpl(specname=None if hook.startswith("vidpoll") else "vidpoll_failed")(function)
    told = type("Told", (), {hook: staticmethod(marked)})()
    with pytest.raises(vidpoll.PluginError) as caught:
        Plugins([told], discover=False)
    assert str(caught.value) == f"plugins=[Told]: {said}"


def test_starred_parameters_are_the_plugins_own() -> None:
    """pluggy gives no value for them, and so they may have any name."""
    calls: list[object] = []

    class Own:
        @vidpoll.hookimpl
        def vidpoll_completed(self, event: Any, *more: Any, **others: Any) -> None:
            calls.append(event)

    Plugins([Own()], discover=False).tell(Job("acme:1"), EVENT)
    assert calls == [EVENT]


class WithoutSelf:
    @vidpoll.hookimpl
    def vidpoll_completed(job: Any, event: Any) -> None:  # noqa: N805
        """Would be called with the plugin as the job."""


class WithoutAny:
    @vidpoll.hookimpl
    def vidpoll_providers() -> tuple[()]:  # type: ignore[misc]
        return ()


class Misnamed:
    @vidpoll.hookimpl
    def vidpoll_completed(self, job: Any, evnt: Any = None) -> None:
        """Would always get None."""


class Optional:
    @vidpoll.hookimpl
    def vidpoll_completed(self, event: Any = None) -> None:
        """Would always get None."""


class Awaited:
    @vidpoll.hookimpl
    async def vidpoll_completed(self, job: Any, event: Any) -> None:
        """Would never be awaited."""


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (WithoutSelf(), "vidpoll_completed is a method without self: write def vidpoll_completed(self, job, event)"),
        (WithoutAny(), "vidpoll_providers is a method without self: write def vidpoll_providers(self)"),
        (Misnamed(), "vidpoll_completed takes job, event; it has no 'evnt'"),
        (Optional(), "vidpoll_completed: 'event' must have no default, because a parameter with one gets no value"),
        (
            Awaited(),
            (
                "vidpoll_completed is async, but a hook is called without await: write a plain def; to run a coroutine "
                "from it, call asyncio.run_coroutine_threadsafe(coroutine, loop)"
            ),
        ),
    ],
)
def test_a_function_that_cannot_be_called_as_its_hook(plugin: object, said: str) -> None:
    """It is refused when the plugin is passed, with the way out, and not when a job has ended."""
    name = type(plugin).__name__
    with pytest.raises(vidpoll.PluginError) as caught:
        Plugins([plugin], discover=False)
    assert str(caught.value) == f"plugins=[{name}]: {name}.{said}"


def test_an_unmarked_hook_is_heard_of() -> None:
    """A function with a hook's name and no mark would never be called."""

    class Unmarked(Hears):
        def vidpoll_failed(self, job: Any, event: Any) -> None:
            """Never called."""

    with pytest.warns(UserWarning, match="vidpoll_failed is not called: mark it with @vidpoll.hookimpl"):
        Plugins([Unmarked("u", [])], discover=False)


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (Hears, r"pass an instance, Hears\(\), not the class"),
        (ACME, "pass the module or object whose vidpoll_providers hook yields it"),
        (object(), "no function in it is marked with @vidpoll.hookimpl"),
        ("vidpoll_acme", "no function in it is marked"),
        (ModuleType("empty"), r"plugins=\[empty\]: no function in it"),
    ],
)
def test_what_cannot_be_a_plugin_is_a_usage_error(thing: Any, says: str) -> None:
    """A thing that is passed and would never be called is a mistake of the call."""
    with pytest.raises(vidpoll.UsageError, match=says):
        Plugins([thing], discover=False)


def test_a_module_is_a_plugin() -> None:
    """A script may pass a module, or itself."""
    module = ModuleType("my_provider")
    module.vidpoll_providers = vidpoll.hookimpl(lambda: [ACME])  # type: ignore[attr-defined]
    assert [(r.name, r.providers) for r in Plugins([module], discover=False).reports] == [("my_provider", ("acme",))]


def test_a_passed_plugin_that_does_not_validate_is_an_error() -> None:
    """Whoever passes a plugin wants it to be called: it is not skipped in silence."""
    with pytest.raises(vidpoll.PluginError, match="vidpoll_providers must give Providers, got str"):
        Plugins([providing(["acme"])], discover=False)


@pytest.mark.parametrize("mark", [{"wrapper": True}, {"hookwrapper": True}])
def test_wrappers_are_refused(mark: dict[str, bool]) -> None:
    """Hooks are called one by one, so there is nothing to wrap."""

    class Wraps:
        @vidpoll.hookimpl(**mark)
        def vidpoll_completed(self) -> Any:
            yield

    with pytest.raises(vidpoll.PluginError, match="vidpoll_completed is a wrapper"):
        Plugins([Wraps()], discover=False)


# -- calling ----------------------------------------------------------------------------------------------------------


def test_the_order_of_calls() -> None:
    """Last registered first; `tryfirst` before, `trylast` after."""
    calls: list[str] = []

    class First(Hears):
        @vidpoll.hookimpl(tryfirst=True)
        def vidpoll_completed(self) -> None:
            self.calls.append(self.name)

    class Last(Hears):
        @vidpoll.hookimpl(trylast=True)
        def vidpoll_completed(self) -> None:
            self.calls.append(self.name)

    plugins = [First("first", calls), Hears("a", calls), Last("last", calls), Hears("b", calls)]
    Plugins(plugins, discover=False).tell(Job("acme:1"), EVENT)
    assert calls == ["first", "b", "a", "last"]


def test_a_hook_takes_the_arguments_it_needs() -> None:
    """By name, in any order, or none."""
    got: list[Any] = []

    class Takes:
        @vidpoll.hookimpl
        def vidpoll_completed(self, event: Any, job: Any) -> None:
            got.append((job, event))

        @vidpoll.hookimpl(specname="vidpoll_completed")
        def only_the_job(self, job: Any) -> None:
            got.append(job)

    job = Job("acme:1")
    Plugins([Takes()], discover=False).tell(job, EVENT)
    assert sorted(map(repr, got)) == sorted(map(repr, [(job, EVENT), job]))


def test_a_hook_that_raises_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    """The culprit is logged by its name, with the line, and warned of; no key in its words is shown."""
    calls: list[str] = []

    class Raises:
        name = "grumpy"

        @vidpoll.hookimpl
        def vidpoll_completed(self) -> None:
            raise ValueError("token=sk-0123456789abcdef")

    plugins = Plugins([Hears("a", calls), Raises(), Hears("b", calls)], discover=False)
    with pytest.warns(RuntimeWarning, match="plugin grumpy, vidpoll_completed raised ValueError") as warned:
        plugins.tell(Job("acme:1"), EVENT)
    assert calls == ["b", "a"]
    assert "plugin grumpy, vidpoll_completed raised ValueError" in caplog.text
    assert "test_plugins.py" in caplog.text
    assert "0123456789" not in str(warned[0].message)


def test_a_warning_that_is_an_error_does_not_end_a_wait() -> None:
    """`python -W error` makes warnings raise; what they warn of must still not stop a wait."""
    calls: list[str] = []

    class Raises:
        @vidpoll.hookimpl
        def vidpoll_completed(self) -> None:
            raise ValueError("boom")

    Plugins([Hears("a", calls), Raises()], discover=False).tell(Job("acme:1"), EVENT)  # warnings are errors here
    assert calls == ["a"]


class Configured:
    """A plugin that makes notifiers from the environment: one for each word of CHAT."""

    name = "chat"

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    @vidpoll.hookimpl
    def vidpoll_notifiers(self, environ: Any) -> Any:
        if environ.get("CHAT") == "wrong":
            raise vidpoll.UsageError("CHAT=wrong: a place is due, see token=sk-0123456789abcdef")
        return [Hears(word, self.calls) for word in environ.get("CHAT", "").split()]


def test_a_notifier_is_configured_by_the_environment(installed: Any) -> None:
    """Once, when a client is made: what it gives hears the events, and the plugin's report names their hooks."""
    calls: list[str] = []
    installed(("chat", Configured(calls)))
    silent, telling = Plugins(environ={}), Plugins(environ={"CHAT": "a b"})
    for plugins in (silent, telling):
        plugins.tell(Job("acme:1"), EVENT)
    assert calls == ["b", "a"]
    assert [report.hooks for report in silent.reports] == [("vidpoll_notifiers",)]
    assert set(telling.reports[0].hooks) == {"vidpoll_notifiers", "vidpoll_completed"}


def test_a_client_hands_its_environment_to_the_notifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passed plugin is asked as an installed one is."""
    calls: list[str] = []
    monkeypatch.setenv("CHAT", "a")
    with vidpoll.Client(plugins=[Configured(calls)], discover=False) as client:
        client._plugins.tell(Job("acme:1"), EVENT)
    assert calls == ["a"]


def test_a_notifier_that_is_wrongly_configured_is_heard_of(installed: Any) -> None:
    """A warning when the client is made, for the night would pass in silence; the other plugins work."""
    installed(("chat", Configured([])), ("acme", Plugin(ACME)))
    with pytest.warns(
        RuntimeWarning, match="plugin chat sends no notifications: UsageError: CHAT=wrong: a place"
    ) as warned:
        plugins = Plugins(environ={"CHAT": "wrong"})
    assert "0123456789" not in str(warned[0].message)
    assert [report.name for report in plugins.problems] == ["chat"]
    assert list(plugins.providers) == ["acme"]


def test_a_notifier_without_a_hook_is_refused() -> None:
    """It would tell nobody, and nobody would know."""

    class Mute:
        @vidpoll.hookimpl
        def vidpoll_notifiers(self) -> Any:
            yield object()

    with pytest.warns(RuntimeWarning, match="plugin Mute sends no notifications"):
        with pytest.raises(vidpoll.PluginError, match="vidpoll_notifiers gave something without a marked hook"):
            Plugins([Mute()], discover=False)


def test_every_event_has_a_hook() -> None:
    """The table names every event and every spec of a notification."""
    public = [getattr(vidpoll, name) for name in vidpoll.__all__]
    events = {kind for kind in public if isinstance(kind, type) and issubclass(kind, vidpoll.Event)}
    assert set(HOOKS) == events - {vidpoll.Event}
    assert len(set(HOOKS.values())) == len(HOOKS)


# -- what is not there ------------------------------------------------------------------------------------------------


PACKED = "vidpoll-providers (in a clone of vidpoll: pip install ./plugins/vidpoll-providers)"
OWN = "for a provider without a plugin: vidpoll new-plugin NAME"


@pytest.mark.parametrize(
    ("name", "pack", "said"),
    [
        ("zeta", "vidpoll-providers", f"no provider 'zeta': installed: acme; install more with {PACKED}; {OWN}"),
        (
            "acne",
            "vidpoll-providers",
            f"no provider 'acne': did you mean 'acme'? installed: acme; install more with {PACKED}",
        ),
        ("zeta", "try-acme", f"no provider 'zeta': installed: acme; {OWN}"),
        ("acne", "try-acme", "no provider 'acne': did you mean 'acme'? installed: acme"),
    ],
)
def test_an_unknown_provider_names_the_installed_ones(
    site: Callable[..., None], monkeypatch: pytest.MonkeyPatch, name: str, pack: str, said: str
) -> None:
    """And what to install: no name of a distribution is made from a typo, as anybody may have registered it."""
    monkeypatch.setattr("vidpoll.plugins.PACK", pack)
    site("try-acme", {"acme": "try_acme:vidpoll_providers"}, try_acme="")
    with pytest.raises(vidpoll.UnknownProvider) as caught:
        Plugins().provider(name)
    assert str(caught.value) == said


def test_an_unknown_provider_of_a_client_that_discovers_nothing() -> None:
    """What is installed is no help there."""
    plugins = Plugins([Plugin(ACME)], discover=False)
    with pytest.raises(vidpoll.UnknownProvider) as caught:
        plugins.provider("zeta")
    assert str(caught.value) == "no provider 'zeta': with discover=False only these are known: acme"
    near = Plugins([Plugin(replace(ACME, name="vidu"), replace(ACME, name="vidi"), ACME)], discover=False)
    with pytest.raises(
        vidpoll.UnknownProvider, match="did you mean 'vidu' or 'vidi'\\? with discover=False only these are known: "
    ):
        near.provider("vid")


def test_a_name_that_is_not_close_is_no_hint() -> None:
    """It would only mislead."""
    plugins = Plugins([Plugin(replace(ACME, name="openai"))], discover=False)
    with pytest.raises(vidpoll.UnknownProvider) as caught:
        plugins.provider("nope")
    assert str(caught.value) == "no provider 'nope': with discover=False only these are known: openai"


def test_an_unknown_provider_where_none_is_installed(site: Callable[..., None]) -> None:
    """It reads well there, too."""
    site("try-acme", {})
    with pytest.raises(vidpoll.UnknownProvider) as caught:
        Plugins().provider("nope")
    assert str(caught.value) == f"no provider 'nope': none is installed; install some with {PACKED}; {OWN}"
    with pytest.raises(vidpoll.UnknownProvider, match=r"'nope': with discover=False none is known$"):
        Plugins(discover=False).provider("nope")


def test_an_unknown_provider_names_the_broken_plugin(installed: Any) -> None:
    """The plugin that would have brought it is installed and does not import: that is what the user must know."""
    installed(("acme", ImportError("no module named 'requests_toolbelt'")))
    plugins = Plugins()
    with pytest.raises(vidpoll.UnknownProvider, match=r"the plugin acme \(vidpoll-acme\) is broken: does not import"):
        plugins.provider("acme")
    with pytest.raises(vidpoll.UnknownProvider, match="none is installed; the plugin acme is broken: does not import"):
        plugins.provider("acme-video")


def test_simulators_and_commands_of_plugins() -> None:
    """What plugins bring along is gathered; one that raises is named."""

    class Brings:
        name = "brings"

        @vidpoll.hookimpl
        def vidpoll_simulators(self) -> dict[str, str]:
            return {"acme": "vidpoll_acme.simulator:Face"}

        @vidpoll.hookimpl
        def vidpoll_commands(self, register: Any) -> None:
            register("report", "write a report", None, None)

    class Breaks:
        name = "breaks"

        @vidpoll.hookimpl
        def vidpoll_simulators(self) -> dict[str, str]:
            raise ValueError("boom")

        @vidpoll.hookimpl
        def vidpoll_commands(self, register: Any) -> None:
            raise SystemExit(3)

    registered: list[Any] = []
    plugins = Plugins([Brings()], discover=False)
    assert plugins.simulators() == {"acme": "vidpoll_acme.simulator:Face"}
    broken = Plugins([Brings(), Breaks()], discover=False)
    assert broken.commands(lambda *args: registered.append(args[0])) == [
        "plugin breaks, vidpoll_commands: SystemExit: 3"
    ]
    assert registered == ["report"]
    with pytest.raises(vidpoll.PluginError, match="plugin breaks, vidpoll_simulators: ValueError: boom"):
        broken.simulators()


def test_plugins_can_be_switched_off(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, by the names of their entry points."""
    installed(("acme", Plugin(ACME)), ("other", Plugin(replace(ACME, name="other"))))
    monkeypatch.setenv("VIDPOLL_DISABLE", "acme,unknown")
    with vidpoll.Client() as client:
        assert list(client.providers) == ["other"]
        assert [report.name for report in client.plugins if report.disabled] == ["acme"]


def test_calls_of_hooks_can_be_traced(caplog: pytest.LogCaptureFixture) -> None:
    """Each call is a line of the log before it is made: hook, plugin, event."""
    caplog.set_level(logging.INFO, "vidpoll")

    class Chat:
        name = "chat"

        @vidpoll.hookimpl
        def vidpoll_completed(self, job: Job) -> None:
            assert caplog.messages[-1] == "hook vidpoll_completed -> plugin chat: acme:j1 completed: no files"

    plugins = Plugins([Chat(), Plugin(ACME)], discover=False, trace=True)
    assert caplog.messages == ["hook vidpoll_providers -> plugin acme-plugin"]
    plugins.tell(Job("acme:j1"), Completed("acme:j1", 0.0, (), None))
    assert len(caplog.messages) == 2
    Plugins([Chat(), Plugin(ACME)], discover=False).tell(Job("acme:j1"), Completed("acme:j1", 0.0, (), None))
    assert len(caplog.messages) == 2

    class Maker:
        name = "maker"

        @vidpoll.hookimpl
        def vidpoll_notifiers(self) -> list[object]:
            assert caplog.messages[-1] == "hook vidpoll_notifiers -> plugin maker"
            return []

    Plugins([Maker()], discover=False, trace=True)


BRINGS = """
import vidpoll
@vidpoll.hookimpl
def vidpoll_transports():
    return {"carrier": lambda: "made"}
"""

INSTALL = (
    "known: broken, carrier, requests; install vidpoll-curl (in a clone of vidpoll: pip install ./plugins/vidpoll-curl)"
)


def test_a_transport_is_loaded_when_it_is_named(site: Callable[..., None]) -> None:
    """Its entry point names the function; discovered or not, as whoever names it wants it."""
    site("try-carrier", {"carrier": "try_carrier:vidpoll_transports"}, try_carrier=BRINGS)
    for plugins in (Plugins(), Plugins(discover=False)):
        assert all(not report.loaded for report in plugins.reports)
        assert named.transport(plugins, "carrier")() == named.transport(plugins, "carrier")() == "made"
        assert plugins.reports == [PluginReport("carrier", "try-carrier", "1.2", ("vidpoll_transports",))]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("carier", {}, "no transport 'carier': did you mean 'carrier'? known: broken, carrier, requests"),
        ("carrier", {"disabled": ["carrier"]}, "the transport carrier is switched off: take it out of VIDPOLL_DISABLE"),
        ("broken", {}, "the transport broken (try-carrier) is broken: does not import: ValueError: x"),
        ("curl", {}, f"no transport 'curl': {INSTALL}"),
        ("crul", {}, f"no transport 'crul': did you mean 'curl'? {INSTALL}"),
    ],
)
def test_a_transport_that_is_not_there(site: Callable[..., None], name: str, options: Any, said: str) -> None:
    """One line: what is known, what may have been meant, and what to install."""
    entries = {"carrier": "try_carrier:vidpoll_transports", "broken": "try_broken:vidpoll_transports"}
    site("try-carrier", entries, try_carrier=BRINGS, try_broken="raise ValueError('x')")
    with pytest.raises(vidpoll.UsageError) as raised:
        named.transport(Plugins(**options), name)
    assert str(raised.value) == said


def test_a_hook_of_transports_that_raises(site: Callable[..., None]) -> None:
    """Whoever names a transport hears of it."""
    spoilt = BRINGS.replace('{"carrier": lambda: "made"}', "1 / 0")
    site("try-carrier", {"carrier": "try_carrier:vidpoll_transports"}, try_carrier=spoilt)
    with pytest.raises(vidpoll.PluginError, match="plugin carrier, vidpoll_transports: ZeroDivisionError"):
        named.transport(Plugins(), "carrier")


KEEPS = """
import vidpoll
from vidpoll.storage.sqlite import SqliteStore
@vidpoll.hookimpl
def vidpoll_stores(url):
    if url.startswith("carrier://wrong"):
        raise vidpoll.StoreError("no carrier came back")
    if url.startswith("carrier://broken"):
        raise ValueError(url)
    if url.startswith("carrier://odd"):
        raise ValueError("no such port: " + url.partition(":")[2].partition(":")[2].partition("@")[0])
    return SqliteStore(url.partition("://")[2], lambda: 0.0) if url.startswith("carrier://") else None
"""


def test_a_store_is_loaded_when_its_scheme_is_named(site: Callable[..., None], tmp_path: Path) -> None:
    """Its entry point names the function, and is named like the scheme."""
    site("try-keeps", {"carrier": "try_keeps:vidpoll_stores"}, try_keeps=KEEPS)
    for discover in (True, False):
        with vidpoll.Client(discover=discover) as client:
            assert [report.loaded for report in client.plugins if report.name == "carrier"] in ([False], [])
        with vidpoll.Client(store=f"carrier://{tmp_path}/a.sqlite3", discover=discover) as client:
            assert client.store.jobs() == []


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("carrier://wrong", vidpoll.StoreError, "no carrier came back"),
        (
            "carrier://broken:hunter2secret@db/shop",
            vidpoll.PluginError,
            "plugin carrier, vidpoll_stores: ValueError: carrier://",
        ),
        ("carrier://odd:hunter2#secret@db", vidpoll.PluginError, "plugin carrier, vidpoll_stores: ValueError: no such"),
        (
            "postgresql://me:hunter2secret@db/shop?sslmode=disable",
            vidpoll.UsageError,
            "no store at postgresql://db/shop?…: install vidpoll-postgres (in a clone of vidpoll: pip install ./",
        ),
        ("sqlite:///jobs.db", vidpoll.UsageError, "no store at sqlite:/jobs.db: name an SQLite file by its path"),
        ("ftp://db", vidpoll.UsageError, "no store at ftp://db: no installed plugin supports ftp://"),
    ],
)
def test_a_store_that_is_not_there(
    site: Callable[..., None], url: str, kind: type[vidpoll.VidpollError], said: str
) -> None:
    """One line with what to install; no password in it."""
    site("try-keeps", {"carrier": "try_keeps:vidpoll_stores"}, try_keeps=KEEPS)
    with pytest.raises(kind) as raised:
        vidpoll.Client(store=url, discover=False)
    assert str(raised.value).startswith(said)
    assert "hunter2" not in str(raised.value)


def test_a_scheme_that_is_switched_off(site: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so."""
    site("try-keeps", {"carrier": "try_keeps:vidpoll_stores"}, try_keeps=KEEPS)
    monkeypatch.setenv("VIDPOLL_DISABLE", "carrier")
    with pytest.raises(vidpoll.UsageError, match="the plugin carrier is switched off"):
        vidpoll.Client(store="carrier://db")


def test_a_store_may_be_passed(tmp_path: Path) -> None:
    """The client closes it."""
    store = SqliteStore(tmp_path / "a.sqlite3", lambda: 0.0)
    with vidpoll.Client(store=store, discover=False) as client:
        assert client.store.jobs() == []
    assert store.closed


def test_the_log_is_silent_until_somebody_wants_it() -> None:
    """Python prints warnings of a logger that has no handler at all."""
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("vidpoll").handlers)
