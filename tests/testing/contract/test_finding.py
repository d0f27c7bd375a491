"""A plugin that is not found, or whose code raises, is told by its cause; no traceback, and no wrong advice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contract_cases import HEADS, caught, contract, lines, write
from good_plugin import Good

import vidpoll
from vidpoll.testing import ProviderContract
from vidpoll.testing.contract import package

SOUND = "the_plugin_is_sound"
PLUGIN = """
import vidpoll
{more}
{mark}
def {name}():
    yield vidpoll.Provider("{provider}", "https://api.found.example", vidpoll.NoAuth(), vidpoll.Pacing(),
        vidpoll.Operation(lambda job_id: vidpoll.Request("GET", "/x"), lambda response, job_id: None))
"""


def test_a_contract_names_its_provider() -> None:
    """A class that names nothing says what to write."""
    with pytest.raises(pytest.fail.Exception, match='provider = "acme"'):
        ProviderContract().test_the_plugin_is_sound()


def test_a_provider_that_is_not_installed(samples: Path) -> None:
    """The message says what is looked for, what there is and how to install it."""
    cls = type("TestContract", (ProviderContract,), {"provider": "nobody", "samples": samples})
    found = caught(cls)
    assert list(found) == [SOUND]  # one failure, not forty
    assert "no installed distribution has an entry point 'nobody' in the group 'vidpoll'" in found[SOUND]
    assert "pip install -e ." in found[SOUND]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"more": "import no_such_module"}, "does not import: ModuleNotFoundError: No module named 'no_such_module'"),
        ({"more": "1 / 0"}, "does not import: ZeroDivisionError"),
        ({"mark": ""}, "vidpoll_providers is not called: mark it with @vidpoll.hookimpl"),
        (
            {"mark": "", "name": "vidpoll_provider"},
            "vidpoll_provider is not called: mark it with @vidpoll.hookimpl and name it vidpoll_providers",
        ),
        ({"name": "vidpoll_provider"}, "there is no hook vidpoll_provider; did you mean vidpoll_providers?"),
        ({"provider": "other"}, "it provides other"),
        ({"provider": "Found!"}, "is refused: PluginError: Provider name 'Found!'"),
    ],
)
def test_an_installed_plugin_without_its_provider(
    source: dict[str, str], said: str, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not installed, not imported, misspelt, unmarked, another name: five causes, five messages."""
    text = PLUGIN.format(**{"more": "", "mark": "@vidpoll.hookimpl", "name": "vidpoll_providers", "provider": "found",
                            **source})  # fmt: skip
    (tmp_path / "vidpoll_found.py").write_text(text)
    info = tmp_path / "vidpoll_found-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vidpoll-found\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[vidpoll]\nfound = vidpoll_found\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "vidpoll_found", raising=False)
    cls = type("TestContract", (ProviderContract,), {"provider": "found", "samples": samples})
    found = caught(cls, SOUND)
    assert said in found[SOUND]
    assert lines(found[SOUND]) == ["seen", "why", "do"]


class Unmarked:
    def vidpoll_providers(self) -> Any:
        yield


@pytest.mark.parametrize(
    ("plugin", "name", "said"),
    [
        (Unmarked(), "goodness", "its function vidpoll_providers is not marked with @vidpoll.hookimpl"),
        (Good(), "good", "the plugin provides goodness"),
        (Good, "goodness", "pass an instance, Good(), not the class"),
    ],
)
def test_a_passed_plugin_without_its_provider(plugin: object, name: str, said: str, samples: Path) -> None:
    """What is passed is named, and what is wrong with it."""
    assert said in caught(contract(plugin, samples, name))[SOUND]


def test_an_entry_point_of_another_name() -> None:
    """Users switch a plugin off, and look for it, by the name of its provider."""
    report = vidpoll.PluginReport("mg", "vidpoll-mg", providers=("magicoal",))
    package.entry_point(SimpleNamespace(plugin=None, name="magicoal", report=replace(report, name="magicoal")))
    with pytest.raises(pytest.fail.Exception, match="'mg' of vidpoll-mg provides 'magicoal'"):
        package.entry_point(SimpleNamespace(plugin=None, name="magicoal", report=report))


# -- code that raises -------------------------------------------------------------------------------------------------


def mint(request: vidpoll.PreparedRequest, secrets: Any) -> Any:
    return {"Authorization": secrets["ANOTHER_NAME"]}


@pytest.mark.parametrize("given", [mint, lambda request, secrets: None, lambda request: {}])
def test_auth_that_raises(given: Any, samples: Path) -> None:
    """A function for Minted that raises, or returns no mapping, is a failed rule with its line of code."""

    class Raises(Good):
        auth = vidpoll.Minted(("GOODNESS_API_KEY",), given)

    found = caught(contract(Raises(), samples), "the_key")
    for check in ("the_key_travels_as_documented", "the_key_stays_in_the_headers"):
        assert lines(found[check]) == ["seen", "why", "do"]
        assert "return a mapping of header names to text" in found[check]
    if given is mint:
        assert "KeyError: 'ANOTHER_NAME' (in test_finding.py:" in found["the_key_travels_as_documented"]


def test_a_reader_of_refusals_that_raises(samples: Path) -> None:
    """A sample of an error tells what `error=` raised."""

    class Raises(Good):
        def error(self, response):
            return vidpoll.Problem(response.json()["errors"])

    found = caught(contract(Raises(), samples), "a_sample")["a_sample_means_what_is_expected"]
    assert "Provider(error=…) gives KeyError: 'errors' (in test_finding.py:" in found


def test_a_simulated_run_that_fails(tmp_path: Path) -> None:
    """What the face refuses is told in the provider's words."""
    fields = {"provider": "token360", "samples": tmp_path, "submits": {"video": {"model": "none", "prompt": "a sea"}}}
    found = caught(type("TestContract", (ProviderContract,), fields), "a_simulated")
    assert "The requested model does not exist" in found["a_simulated_job_from_submit_to_file"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("no_such_module:Face", "no_such_module"),
        ("json:Face", "json:Face"),
        ("contract_faces:Broken", "broken on purpose"),
        (7, "7"),
    ],
)
def test_a_face_that_raises(where: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A face that does not import, or raises, is a failed rule."""
    (tmp_path / "contract_faces.py").write_text(
        "from vidpoll.testing.simulator import Face\n"
        "class Broken(Face):\n"
        "    def __init__(self, key=None, capacity=1):\n"
        "        raise RuntimeError('broken on purpose')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    class Faced(Good):
        @vidpoll.hookimpl
        def vidpoll_simulators(self) -> Any:
            return {"goodness": where}

    found = caught(contract(Faced(), write(tmp_path / "samples", [], **HEADS["goodness"]), clip={}), "a_simulated")
    message = found["a_simulated_job_from_submit_to_file"]
    assert said in message
    assert lines(message) == ["seen", "why", "do"]
