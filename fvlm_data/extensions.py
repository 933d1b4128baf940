"""Lists that packages of others can add to: ours by name and place, theirs by entry points.

Nothing is imported until it is asked for by name, so that a faulty package never stops a command
which does not use it.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, FvlmError
from fvlm_data.memory import lacks_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = "fvlm"


@dataclass(frozen=True, slots=True)
class Offer:
    """One entry of a list: where it lies (`module:attribute`) and which package brings it."""

    name: str
    place: str
    package: str = OURS
    version: str = ""

    @property
    def foreign(self) -> bool:
        """Whether another package brings it."""
        return self.package != OURS


@dataclass(frozen=True, slots=True)
class Extensions:
    """A list of things of one kind, by name.

    `group` is the entry-point group by which packages of others add to it, `what` one such
    thing in words, `own` the places of ours in the order in which they are shown, `extra` what an
    install needs for ours.
    """

    group: str
    what: str
    own: Mapping[str, str]
    extra: str = ""

    def offers(self) -> list[Offer]:
        """All entries, ours first, then those of other packages by name and package."""
        return [*(Offer(name, place) for name, place in self.own.items()), *foreign(self.group)]

    def names(self) -> list[str]:
        """Names of all entries, each once."""
        return list(dict.fromkeys(offer.name for offer in self.offers()))

    def offer(self, name: str) -> Offer:
        """The entry called `name`.

        Raises:
            ConfigError: there is none (the nearest is named), or two packages bring it.
        """
        found = [offer for offer in self.offers() if offer.name == name]
        if not found:
            near = get_close_matches(name, self.names(), 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(
                f"{self.what} {name!r} is not known{meant}; expected one of "
                f"{', '.join(self.names())}; `fvlm-data plugins` lists what packages add"
            )
        if len(found) > 1:
            packages = ", ".join(sorted({offer.package for offer in found}))
            raise ConfigError(
                f"{self.what} {name!r} is brought by several packages ({packages}), expected "
                "one; uninstall all but one of them"
            )
        return found[0]

    def known(self, name: str) -> str:
        """`name` itself: the check of a key of the configuration that holds one.

        Raises:
            ValueError: there is no such entry; the message names the nearest, not the value.
        """
        names = self.names()
        if name in names:
            return name
        near = get_close_matches(name, names, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(
            f"this {self.what} is not known{meant}; expected one of {', '.join(names)}; "
            "`fvlm-data plugins` lists what packages add"
        )

    def listed(self, schema: dict[str, Any]) -> None:
        """Give the JSON Schema of such a key the names, for editors to complete."""
        schema["enum"] = self.names()

    def made_by(self, name: str) -> str:
        """Package and version of an entry of another package, empty for ours: part of keys.

        Raises:
            ConfigError: there is none, or two packages bring it.
        """
        offer = self.offer(name)
        return f"{offer.package} {offer.version}" if offer.foreign else ""

    @contextmanager
    def named_in_errors(self, name: str) -> Iterator[None]:
        """Run code of an entry so that errors of another package name that package.

        Type and place are reported, never the text, which may quote a header or a report. Our
        own errors pass unchanged, as does whatever our own entries raise.

        Raises:
            FvlmError: the code of another package raised something that it should not.
        """
        try:
            yield
        except FvlmError:
            raise
        except Exception as error:
            if lacks_memory(error):
                raise MemoryError from error
            offer = self.offer(name)
            if not offer.foreign:
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            raise FvlmError(
                f"{self.what} {name!r} of package {offer.package} {offer.version}: "
                f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}; expected "
                "none; report it to the makers of that package"
            ) from error

    def load(self, name: str) -> Any:
        """The thing itself; its module is imported now.

        Raises:
            ConfigError: there is none, two packages bring it, or its package cannot be imported.
        """
        return loaded(self.offer(name), self.what)


@cache
def installed() -> Any:
    """Entry points of all packages, to `select` from; reading them takes 0.1 s.

    Python 3.11 gives SelectableGroups, later ones give EntryPoints.
    """
    return entry_points()


@cache
def foreign(group: str) -> tuple[Offer, ...]:
    """What other packages add to a group."""
    # a set: a package that is installed twice on the path lists its entry points twice
    found = {
        Offer(
            one.name,
            one.value,
            one.dist.name if one.dist else "unknown package",
            one.dist.version if one.dist else "",
        )
        for one in installed().select(group=group)
    }
    theirs = (offer for offer in found if offer.foreign)
    return tuple(sorted(theirs, key=lambda offer: (offer.name, offer.package)))


def loaded(offer: Offer, what: str) -> Any:
    """What an entry names.

    Raises:
        ConfigError: another package's entry cannot be imported; ours raise as they are.
    """
    module, _, attribute = offer.place.partition(":")
    if not offer.foreign:
        return getattr(import_module(module), attribute)
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # a package of others may raise anything
        raise ConfigError(
            f"{what} {offer.name!r} of package {offer.package} {offer.version} cannot be loaded "
            f"({type(error).__name__} in {offer.place}); mend or uninstall that package"
        ) from error
