"""What a stage is: the inputs it declares, the function that turns them into outcomes.

A stage knows no store, vault, scheduler or command line. What an item is made from is declared
once, in `reads`; planning, reading, keys and commits are derived from it (`planning`,
`gathering`, `commits`).
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import DamagedError, FvlmError, MachineError
from fvlm_data.memory import NO_SPACE, lacks_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from fvlm_data.identity.vault import Vault
    from fvlm_data.isolation.workers import Workers
    from fvlm_data.store.tables import Store

log = logging.getLogger(__name__)

NO_MEMORY = "not_enough_memory"
NO_MEMORY_DETAIL = (
    "memory did not suffice, not even alone; nothing is said of the data; it is tried again by the "
    "next run: give it more memory, or fewer execution.workers"
)
"""Reason and detail of what is the machine's fault, not the item's."""

Row = dict[str, Any]


def _unwatched() -> None:
    """No one counts the items that are done."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a run finds its store and vault, and the id under which it commits.

    `checked` remembers which items of a stage were found damaged when its tables had which files,
    so that a run hashes unchanged rows only once. With `rehash` discovery believes no time or size
    of a known image file, but reads all of its bytes. With `retry` is tried again what ended the
    process that worked on it; `versions` is a mark of the program's. What is superseded is kept
    for `keep_hours`. `workers` are the processes in which headers are read, which may end; None:
    they are read in this one. `beat` is called whenever an item is done. `named` are addresses of
    image files to look at in place of all that the sources hold; None: all is looked at.
    """

    store: Store
    vault: Vault
    run_id: str
    checked: dict[str, tuple[frozenset[str], tuple[str, ...]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    rehash: bool = False
    retry: bool = False
    versions: str = ""
    keep_hours: float = 168.0
    workers: Workers | None = field(default=None, compare=False, repr=False)
    beat: Callable[[], None] = field(default=_unwatched, compare=False, repr=False)
    named: tuple[str, ...] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of work.

    `key` hashes the content of its declared inputs, the stage's settings and its version; `refs`
    are the values of the stage's `refs`, by which its inputs are found.
    """

    id: str
    key: str
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of a table (or of one of the stage's views) that an item is made from.

    Rows are those whose column `by` equals `on`: the item itself, one of the stage's `refs`, or
    `<read>.<column>`, any value of that column in an earlier read of the same item. `decides`
    are the columns that enter the item's key; `carries` are read as well, but a change in them
    alone remakes nothing (places of files). `where` is SQL over the row, called `t`. So is
    `rather`: of a value's rows only those count for which it holds, if there are any. With
    a `limit`, equal rows count once, and a value of `by` with more rows than that finds none: a
    name shared by ten thousand patients would otherwise be read ten thousand times for each.
    An item for which a `rare` read finds no row has the key that it has without that read: so a
    read that finds something of few items alone remakes only those when it is added.
    """

    name: str
    table: str
    by: str
    decides: tuple[str, ...]
    on: str = "item"
    carries: tuple[str, ...] = ()
    where: str = ""
    limit: int | None = None
    rare: bool = False
    rather: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read, those that decide first."""
        return (*self.decides, *(name for name in self.carries if name not in self.decides))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one item is made from: rows by the name of the read that found them.

    Rows are in the order of their table's primary key, as far as it is read.
    """

    item: str
    key: str
    refs: Mapping[str, str]
    rows: Mapping[str, Sequence[Row]]


def _nothing_forgotten(ids: Iterable[str]) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Batch:
    """The items of one commit, and access to the bytes and secrets that they refer to.

    `file` gives the bytes of a file of the store and refuses one that is not what its stage
    wrote (StoreError); `stored` gives the content at a path, whoever wrote it, or None. `paths`,
    `identities` and `originals` look up what the vault alone knows: relative paths by file
    token, names by patient or link, reports in their original form. `standing` gives the current
    rows of one of the stage's own tables by the value of a column, and `settled` the items that
    another run has settled meanwhile under the same key; `forgotten` those of given ids that were
    forgotten, with what is to become of what comes under them. `secret` is the key of all ids.
    """

    inputs: Sequence[Inputs]
    secret: bytes
    file: Callable[[str], bytes]
    paths: Callable[[Iterable[str]], dict[str, str]]
    identities: Callable[[Iterable[str]], dict[str, list[str]]]
    originals: Callable[[Iterable[str]], dict[str, dict[str, str]]]
    standing: Callable[[str, str, Iterable[str]], list[Row]]
    settled: Callable[[], set[str]]
    stored: Callable[[str], bytes | None]
    forgotten: Callable[[Iterable[str]], dict[str, str]] = _nothing_forgotten


@dataclass(frozen=True, slots=True)
class Reject:
    """Something set aside: `kind` is one of schemas.quarantine.KINDS, `reason` a snake_case code.

    `detail` says what was found, what was expected and what to do, without identities.
    """

    kind: str
    reason: str
    detail: str
    source_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage makes of one item.

    `rows` holds row dataclasses by table, `files` contents by path, `trees` local folders by path;
    all paths are relative to the store. `derived_files` are written after these and not recorded:
    if they are lost, their stage makes them again from tables. `identities` go to the vault only:
    names, ids and dates by patient id. With `retry` the item is not settled: the next run tries it
    again. A `held` item is left exactly as it is, rows and all: what it is made from is damaged.
    """

    item: str
    rows: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    trees: Mapping[str, Path] = field(default_factory=dict)
    derived_files: Mapping[str, bytes] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()
    identities: Mapping[str, Sequence[str]] = field(default_factory=dict)
    retry: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of the pipeline, as plain data and one function.

    `items` is SQL over the tables that gives a column `item`, and the columns `refs`; `views`
    are further relations that it and the reads may name. `make` turns a batch into outcomes,
    exactly one for each item, in any order. `settings` are the leaves of the stage's own
    section of the configuration that decide results.

    `tables` are those whose rows it owns: rows of an item are replaced together; `partition`
    narrows the replacement in a table to the rows with the given column values. `group` is one
    of `refs`: no batch mixes two of its values. Items of a `derived` stage that leave the plan
    lose their rows, except those that `kept`, SQL of a column item, names; items of a stage that
    reads outside sources stay, except those that `gone`, SQL of a column item too, names. With
    `rests_on_own_rows`, existing rows are an input of new ones (a patient keeps the split), so
    damaged rows are removed before they are remade. `holders` is SQL of columns tree and item:
    which items lie in a tree of files that several share. Items that `waits`, SQL of a column item,
    names are left as they are, due or not. Without `needs_vault` the items are made of tables and
    files of the store alone: the stage works where no vault is, and looks up nothing in one
    (`secret` is empty, the look-ups refuse).
    """

    name: str
    version: int
    settings: Mapping[str, Any]
    tables: tuple[str, ...]
    items: str
    make: Callable[[Batch], Iterator[Outcome]]
    reads: tuple[Read, ...] = ()
    refs: tuple[str, ...] = ()
    views: Mapping[str, str] = field(default_factory=dict)
    batch_size: int
    group: str | None = None
    derived: bool = True
    kept: str = ""
    gone: str = ""
    rests_on_own_rows: bool = False
    partition: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    holders: str = ""
    waits: str = ""
    needs_vault: bool = True


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a discovery would find of one kind: `found` in all, `new` new or changed since.

    `new_bytes` are those that would be read for it; None: not known.
    """

    what: str
    found: int
    new: int
    new_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """A stage as the registry lists it: how it is built from the configuration, and what it needs.

    `build` makes the stage from the whole configuration, of which it reads its own section.
    `commands` are those of `fvlm-data` besides `curate` that run it. `check` refuses a
    configuration whose inputs cannot be opened, before a run starts (InputError, ConfigError).
    `announce` says in sentences how the inputs are understood, for a person to see before the
    run; they are kept in its record.
    `discover` brings what lies outside into table `inputs` before the stage is planned, and
    returns counts; `foresee` says of the same what it would find, and writes nothing (context
    None: there is no store yet); `finish` tidies after it. An entry of another package runs after
    the stage that `after` names (none: last) and may bring the pydantic model of a section of
    its own name. `seconds` is the longest time that one item may take
    (`execution.limits` may say otherwise).
    """

    name: str
    build: Callable[[Any], Stage]
    commands: tuple[str, ...]
    check: Callable[[Any], None] | None = None
    announce: Callable[[Any], list[str]] | None = None
    discover: Callable[[Context, Any, Callable[[int], None]], Mapping[str, int]] | None = None
    foresee: Callable[[Context | None, Any], list[Foreseen]] | None = None
    finish: Callable[[Context], None] | None = None
    after: str | None = None
    section: Any = None
    seconds: float = 3600.0


def guarded(item: str, make: Callable[[], Outcome], files: Iterable[str] = ()) -> Outcome:
    """Run `make` for one item; an unforeseen fault of the item becomes a reject, to be retried.

    `files` are the source files to set aside with the item, if it is made of any.

    An input that is damaged in the store holds the item back. Errors of the store and a full disk
    are no faults of the item: they stop the batch. Where memory does not suffice, the item is set
    aside as such and not settled: the run tries it again alone. The reject names the exception's
    type and place, never its text, which may hold an identity.

    Raises:
        FvlmError: the store, the vault or the configuration failed, not the item.
        MachineError: the disk for temporary files is full or read-only.
    """
    try:
        return make()
    except DamagedError as error:
        log.warning("item %s is left as it is: %s", item, error)
        return Outcome(item, held=True)
    except FvlmError:
        raise
    except Exception as error:
        if lacks_memory(error):
            log.warning("item %s: %s", item, NO_MEMORY_DETAIL)
            short = Reject("fault", NO_MEMORY, NO_MEMORY_DETAIL, tuple(files))
            return Outcome(item, rejects=(short,), retry=True)
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise MachineError(
                f"no space left for temporary files while working on {item}; free space "
                "and run again: finished work is kept"
            ) from error
        # the innermost frame, even in a library: it says more than the place in the stage
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = (
            f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}; expected "
            "none; the item is tried again by the next run; report it if it stays"
        )
        log.warning("item %s: %s", item, detail)
        return Outcome(
            item, rejects=(Reject("fault", "unexpected", detail, tuple(files)),), retry=True
        )


def reject(item: str, kind: str, reason: str, detail: str, files: Iterable[str] = ()) -> Outcome:
    """The outcome of an item that is set aside as a whole."""
    return Outcome(item, rejects=(Reject(kind, reason, detail, tuple(files)),))
