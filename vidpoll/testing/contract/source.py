"""The rules about the plugin's source: what it imports and calls. The whole plugin is read, not only its first file.

A package is read whole, except for its faces for the simulator, which may do more. In a pack, where each module is a
provider, the provider's own module is read, and the modules of the package that it imports.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import vidpoll

from ...errors import PluginError
from .auth import is_secret
from .subject import Subject, broken, skip

_RULE = "a plugin may only build requests and read responses"
_PUBLIC = ("parsing", "declare")
"""The modules of vidpoll that a provider may import, besides `vidpoll` itself."""

_FORBIDDEN = {
    "asyncio", "concurrent", "ftplib", "http", "multiprocessing", "sched", "select", "selectors", "signal", "socket",
    "ssl", "subprocess", "threading", "importlib", "imaplib", "poplib", "smtplib", "telnetlib", "xmlrpc", "ctypes",
    "pickle", "shelve", "sqlite3", "tempfile", "shutil", "logging",
}  # fmt: skip
"""Standard modules with which a provider could wait, reach the network, keep state or hide what it imports."""

_CLOCK, _DICE = "the clock", "random values"
_NOW = r"datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
_TIME = r"time\.((time|monotonic|perf_counter|process_time|thread_time)(_ns)?|localtime|ctime)"
_KEY = "only auth may read the key: a key that a builder reads ends up in URLs and logs"
_OUTPUT = "the output would break the progress bar, and programs that read the output"
_KEEPS = "a provider that keeps state between two calls gives another result each time"
_CALLS: tuple[tuple[str, str, str], ...] = (
    (_CLOCK, f"{_TIME}|{_NOW}", "no response could be replayed, and a wrong clock would end jobs"),
    (_DICE, r"random\..+|secrets\..+|uuid\.uuid[147]|os\.urandom", "no request could be repeated, no bug reproduced"),
    ("a pause", r"time\.sleep", "vidpoll waits for all jobs at once; a plugin that sleeps delays all of them"),
    ("the environment", r"os\.(environ|environb|getenv|putenv)", _KEY),
    ("the terminal", r"print|input|sys\.(stdout|stderr|stdin)", _OUTPUT),
    ("a file", r"open|io\.open|os\.(open|remove|unlink|rename|mkdir|makedirs)", _KEEPS),
    ("a process", r"os\.(system|popen|fork|exec\w*|spawn\w*|kill|_exit)|sys\.exit", "the process is not the plugin's"),
    ("hidden code", r"eval|exec|compile|__import__", "a reader cannot see what the plugin does"),
)  # fmt: skip
"""What a plugin may not use, how the call is written, and why not."""

_WRITES = ("write_text", "write_bytes", "touch", "unlink", "mkdir")


def clean(subject: Subject) -> None:
    files = sources(subject)
    if not files:
        skip("the plugin's source is not in a file")
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}
    own = _module_name(subject).split(".")[0]
    minted = _minted(trees)
    for path, tree in trees.items():
        _check_imports(path, tree, own, clock=any(node in ast.walk(tree) for node in minted))
        allowed = {id(inner) for function in minted for inner in ast.walk(function)}
        _check_calls(path, tree, allowed)
        _check_rest(path, tree)


def _check_imports(path: Path, tree: ast.AST, own: str, *, clock: bool) -> None:
    for module, line in _imported(tree):
        top, _, rest = module.partition(".")
        standard = top in sys.stdlib_module_names and top not in _FORBIDDEN and (top != "time" or clock)
        if top == "urllib":
            standard = module == "urllib.parse"
        public = top == "vidpoll" and (not rest or rest in _PUBLIC)
        if not (public or standard or top in (own, "")):
            broken(
                _RULE,
                seen=f"{path.name}:{line} imports {module}",
                why="vidpoll sends requests, waits and survives faults for all providers; a plugin that does so itself "
                "delays all jobs, and a plugin that uses private modules of vidpoll breaks with the next version",
                do="use only `import vidpoll`, vidpoll.parsing, vidpoll.declare and the standard library, and a clock "
                "only in the function passed to vidpoll.Minted; put a simulator's face into a module of its own",
            )


def _check_calls(path: Path, tree: ast.Module, allowed: set[int]) -> None:
    names = _names(tree)
    for node in ast.walk(tree):
        said = _dotted(node, names)
        for what, pattern, why in _CALLS:
            minting = what in (_CLOCK, _DICE) and id(node) in allowed
            if said and not minting and re.fullmatch(pattern, said):
                do = ", or move it into the function passed to vidpoll.Minted" if what in (_CLOCK, _DICE) else ""
                broken(
                    _RULE,
                    seen=f"{path.name}:{getattr(node, 'lineno', 0)} uses {what}: {said}",
                    why=why,
                    do=f"remove the call{do}; take what you need from the response, the id or the fields",
                )
        if said.startswith("vidpoll.") and _is_private(said.split(".")[1]):
            broken(
                _RULE,
                seen=f"{path.name}:{getattr(node, 'lineno', 0)} uses {said}",
                why="this is not a public name of vidpoll: the next version may remove it",
                do="use only names of docs/api.md",
            )


def _is_private(name: str) -> bool:
    return name not in (*vidpoll.__all__, *_PUBLIC, "__version__")


def _check_rest(path: Path, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.While):
            broken(
                _RULE,
                seen=f"{path.name}:{line}: a while loop",
                why="vidpoll polls again and again; a loop in a plugin can hang the user's wait",
                do="remove the loop: vidpoll does the polling; for a list of values use `for`",
            )
        if isinstance(node, ast.Global):
            broken(
                _RULE,
                seen=f"{path.name}:{line}: global {', '.join(node.names)}",
                why="one job's responses would change the result of another job",
                do="keep nothing between two calls: take what you need from the response or the id",
            )
        if isinstance(node, ast.Attribute) and node.attr in _WRITES:
            broken(
                _RULE,
                seen=f"{path.name}:{line} writes a file: .{node.attr}",
                why=_KEEPS,
                do="remove the call: vidpoll stores what must be stored",
            )
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_secret(node.value):
            broken(
                "a plugin must not contain a secret",
                seen=f"{path.name}:{line}: a text that looks like a key",
                why="everyone who has the plugin would have the key",
                do="remove it; Provider(auth=…) reads the key from the user's environment",
            )


# -- names ------------------------------------------------------------------------------------------------------------


def _imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each imported module with its line; "" stands for a module of the plugin's own package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "" if node.level else node.module or ""
            inner = [f"vidpoll.{alias.name}" for alias in node.names if _is_private(alias.name)]
            yield from ((name, node.lineno) for name in (inner if module == "vidpoll" and inner else [module]))


def _names(tree: ast.AST) -> dict[str, str]:
    """What the names of a module mean: after `from time import time as now`, "now" means "time.time"."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    builtin = ("print", "input", "open", "eval", "exec", "compile", "__import__")
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return {**{name: name for name in builtin if name not in assigned | defined}, **found}


def _dotted(node: ast.AST, names: Mapping[str, str]) -> str:
    """What a name or an attribute means; "" if that is not known."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        holder = _dotted(node.value, names)
        return f"{holder}.{node.attr}" if holder else ""
    return ""


def _minted(trees: Mapping[Path, ast.Module]) -> list[ast.AST]:
    """The functions that are passed to `Minted`, and those that they call: auth may read the clock."""
    functions: dict[str, ast.AST] = {}
    given: list[ast.AST] = []
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                functions[node.name] = node
            elif isinstance(node, ast.Call) and _last(node.func) == "Minted":
                given += [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "mint")]
    found: list[ast.AST] = []
    while given:
        node = given.pop()
        called = [_last(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)]
        called += [_last(each) for each in ast.walk(node) if isinstance(each, (ast.Name, ast.Attribute))]
        found += [node]
        given += [functions.pop(name) for name in dict.fromkeys(called) if name in functions]
    return found


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# -- files ------------------------------------------------------------------------------------------------------------


def sources(subject: Subject) -> list[Path]:
    """The plugin's files, without its faces for the simulator and the modules that only these import."""
    module = sys.modules.get(_module_name(subject))
    if module is None or not getattr(module, "__file__", None):
        return []
    path = Path(str(module.__file__)).resolve()
    name = module.__name__
    mine = _closure({name: path})
    if path.name != "__init__.py":
        return sorted(mine)
    faces = {face: _file(face) for face in _faces(subject) if face.split(".")[0] == name.split(".")[0]}
    theirs = _closure({face: file for face, file in faces.items() if file is not None})
    return sorted(each for each in path.parent.rglob("*.py") if each in mine or each not in theirs)


def package(subject: Subject) -> Path | None:
    """The folder of the package that contains the plugin's module; None if there is no package."""
    path = _file(_module_name(subject).partition(".")[0])
    return path.parent if path is not None and path.name == "__init__.py" else None


def _faces(subject: Subject) -> Iterable[str]:
    try:
        faces = [str(where).partition(":") for where in subject.plugins.simulators().values()]
        return [module for module, _, name in faces if not name.endswith(".json")]  # samples are not code
    except PluginError:  # `simulated` reports it
        return []


def _module_name(subject: Subject) -> str:
    """The module that holds the plugin: the plugin itself, or the module of its class or its hook."""
    plugin: Any = subject.plugin
    if plugin is None:
        plugin = subject.plugins.manager.get_plugin(subject.report.name)
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    hook = getattr(plugin, "vidpoll_providers", None)
    while isinstance(hook, partial):
        hook = hook.func
    kind = type(plugin).__module__
    return kind if kind != "types" else str(getattr(hook, "__module__", kind))


def _closure(found: Mapping[str, Path]) -> set[Path]:
    """The given files, and the files of the same package that they import."""
    files: set[Path] = set()
    left = dict(found)
    while left:
        name, path = left.popitem()
        if path in files:
            continue
        files.add(path)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for other in _siblings(ast.parse(path.read_text(encoding="utf-8")), package) if package else ():
            file = _file(other)
            if file is not None and other.split(".")[0] == package.split(".")[0]:
                left[other] = file
    return files


def _siblings(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules that the imports of a module in `package` may mean."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _file(name: str) -> Path | None:
    """The file of a module, found below its top package, without importing the module."""
    top, *rest = name.split(".")
    module = sys.modules.get(top)
    origin = getattr(module, "__file__", None) if module is not None else getattr(_spec(top), "origin", None)
    if not origin:
        return None
    path = Path(str(origin)).resolve()
    if not rest:
        return path
    below = path.parent.joinpath(*rest)
    return next((each for each in (below.with_suffix(".py"), below / "__init__.py") if each.is_file()), None)


def _spec(top: str) -> Any:
    try:
        return util.find_spec(top)
    except (ImportError, ValueError):
        return None
