"""Lists that packages of others add to by entry points."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import fvlm_data.extensions
from fvlm_data.errors import ConfigError
from fvlm_data.extensions import Extensions, Offer, loaded


@dataclass(frozen=True)
class Package:
    name: str
    version: str


@dataclass(frozen=True)
class FakeEntryPoint:
    """What importlib.metadata gives of one line of a package's entry points."""

    name: str
    value: str
    dist: Package | None


SHAPES = Extensions(
    "fvlm_data.shapes", "shape", {"sphere": "shapes_of_ours:sphere", "cube": "shapes_of_ours:cube"}
)


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of ours and of others, not yet imported."""
    sources = {
        "shapes_of_ours": "sphere = 'a sphere'\ncube = 'a cube'\n",
        "shapes_of_others": "cone = 'a cone'\n",
        "shapes_with_a_fault": "import a_library_that_is_not_there\n",
        "shapes_that_end": "raise ZeroDivisionError('DOE^JANE')\n",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    fvlm_data.extensions.foreign.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, *found: FakeEntryPoint) -> None:
    class Installed:
        @staticmethod
        def select(*, group: str) -> tuple[FakeEntryPoint, ...]:
            return found if group == SHAPES.group else ()

    monkeypatch.setattr(fvlm_data.extensions, "installed", Installed)
    fvlm_data.extensions.foreign.cache_clear()  # packages are looked through once a process


def offered(name: str, value: str, package: str = "solids") -> FakeEntryPoint:
    return FakeEntryPoint(name, value, Package(package, "1.2"))


def test_ours_come_first_and_in_their_order(monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, offered("torus", "t:t"), offered("cone", "shapes_of_others:cone"))
    assert SHAPES.names() == ["sphere", "cube", "cone", "torus"]
    told = SHAPES.offer("cone")
    assert (told.package, told.version, told.foreign) == ("solids", "1.2", True)
    assert not SHAPES.offer("cube").foreign


def test_things_are_loaded_by_name_and_no_other_is(monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, offered("cone", "shapes_of_others:cone"))
    assert SHAPES.names()
    assert not {"shapes_of_ours", "shapes_of_others"} & sys.modules.keys()
    assert SHAPES.load("cone") == "a cone"
    assert "shapes_of_ours" not in sys.modules
    assert SHAPES.load("cube") == "a cube"


def test_an_unknown_name_is_told_with_the_nearest(monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, offered("cone", "shapes_of_others:cone"))
    with pytest.raises(
        ConfigError,
        match=r"shape 'spheer' is not known \(did you mean sphere\?\); expected one of sphere, "
        r"cube, cone; `fvlm-data plugins`",
    ):
        SHAPES.load("spheer")
    with pytest.raises(ConfigError, match=r"'conee' is not known \(did you mean cone\?\)"):
        SHAPES.offer("conee")
    with pytest.raises(ConfigError, match=r"shape 'xyzzy' is not known; expected one of"):
        SHAPES.load("xyzzy")


def test_a_name_that_two_packages_bring_is_refused_with_both(monkeypatch: pytest.MonkeyPatch):
    install(
        monkeypatch,
        offered("cone", "shapes_of_others:cone", "solids"),
        offered("cone", "elsewhere:cone", "bodies"),
    )
    with pytest.raises(
        ConfigError,
        match=r"shape 'cone' is brought by several packages \(bodies, solids\), expected one; "
        "uninstall all but one",
    ):
        SHAPES.load("cone")
    assert SHAPES.names().count("cone") == 1
    assert SHAPES.load("cube") == "a cube"


def test_a_package_that_brings_a_name_of_ours_is_told(monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, offered("cube", "shapes_of_others:cone"))
    with pytest.raises(ConfigError, match=r"several packages \(fvlm, solids\)"):
        SHAPES.load("cube")


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("shapes_with_a_fault:cone", "ModuleNotFoundError in shapes_with_a_fault:cone"),
        ("shapes_that_end:cone", "ZeroDivisionError in shapes_that_end:cone"),
        ("shapes_of_others:cylinder", "AttributeError in shapes_of_others:cylinder"),
        ("no_such_module:cone", "ModuleNotFoundError in no_such_module:cone"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_named_and_ours_are_untouched(
    monkeypatch: pytest.MonkeyPatch, place: str, fault: str
):
    install(monkeypatch, offered("cone", place))
    assert SHAPES.load("sphere") == "a sphere"
    with pytest.raises(ConfigError) as caught:
        SHAPES.load("cone")
    assert str(caught.value) == (
        f"shape 'cone' of package solids 1.2 cannot be loaded ({fault}); mend or uninstall that "
        "package"
    )
    assert SHAPES.load("cube") == "a cube"


def test_a_fault_of_ours_is_not_dressed_up():
    with pytest.raises(AttributeError):
        loaded(Offer("prism", "shapes_of_ours:prism"), "shape")


def test_a_package_without_a_name_is_told_as_unknown(monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, FakeEntryPoint("cone", "shapes_of_others:cone", None))
    assert SHAPES.offer("cone").package == "unknown package"
