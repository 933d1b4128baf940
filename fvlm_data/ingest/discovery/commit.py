"""What discovery writes of one source: only rows that differ from those in the tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.ingest.volume.names import links
from fvlm_data.ingest.volume.result import identity_mark
from fvlm_data.store.discovered import close_sources, open_source
from schemas import TABLES, IdentityMark

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fvlm_data.ingest.volume.names import Names
    from fvlm_data.store.declared import Context
    from schemas import Input, Quarantined

BUT_INODE = tuple(name for name in TABLES["inputs"].columns if name != "inode")


@dataclass(frozen=True, slots=True)
class Seen:
    """What discovery makes of one file: its row, why it is set aside, and its relative path.

    `names` and `identities` are those of a file that is set aside, for the vault.
    """

    row: Input
    aside: Quarantined | None
    relative: str
    names: Names | None = None
    identities: frozenset[str] = frozenset()


@dataclass(slots=True)
class SourceWriter:
    """Writes rows of one source; the first write opens it in the ledger.

    `source` is the token under which it stands in tables, `label` its name.

    A `damaged` source is not opened: its ledger row, which shows the damage, stays until all of
    it is mended.
    """

    context: Context
    stage: str
    kind: str
    source: str
    label: str
    damaged: bool
    wrote: bool = field(default=False, init=False)

    def write_files(self, files: Sequence[Seen], known: Collection[str]) -> list[Seen]:
        """Commit the new and changed files to vault, quarantine and inputs; returns them.

        A file of which only the inode is another (copied, restored) is committed too, so that it
        is not read again, and is not among those returned. `known` are the tokens that may have
        rows already. The rows of `inputs` come last: a file counts as
        known only once the rest is written.
        """
        asides = self._standing("quarantine", "item", [one.row.token for one in files])
        # the token of a file that was forgotten is none by which files are known
        known = {*known, *(one.row.token for one in files if not one.relative)}
        rows = self._standing("inputs", "token", known)
        new = [one for one in files if not _stands(one, rows, asides)]
        if not new:
            return []
        self._open()
        tokens = [one.row.token for one in new]
        # one that was forgotten has no path
        self.context.vault.remember_files(
            {one.row.token: one.relative for one in new if one.relative}
        )
        self._remember_names([one for one in new if one.aside and one.names and one.identities])
        set_aside = [one.aside for one in new if one.aside]
        if set_aside or not asides.keys().isdisjoint(tokens):
            self.context.store.replace("quarantine", tokens, set_aside, {"stage": self.stage})
        self.context.store.replace("inputs", tokens, [one.row for one in new], {"kind": self.kind})
        return [one for one in new if not _stands(one, rows, asides, BUT_INODE)]

    def _remember_names(self, files: Sequence[Seen]) -> None:
        """Keep what refused files tell of their patients: reports are scrubbed by it.

        No table says whose they are: it stands under the hash of each name that a report may know
        them by.
        """
        key = self.context.vault.key
        told: dict[str, set[str]] = defaultdict(set)
        marks = []
        for one in files:
            if one.names is None:
                continue
            token = one.row.token
            mark = identity_mark(key, one.identities)
            for owner in owners(key, one.names, token):
                told[owner] |= one.identities
                marks.append(IdentityMark(owner_id=owner, series_id=token, mark=mark))
        for owner, identities in told.items():
            self.context.vault.remember_patient(owner, identities)
        if marks:
            tokens = sorted({mark.series_id for mark in marks})
            self.context.store.replace("identity_marks", tokens, marks)

    def as_read(self, tokens: Collection[str]) -> dict[str, tuple[str, str]]:
        """By token the fingerprint that stands, and the checksum of the file as ingest read it.

        The checksum is empty where none is known: the file is part of no volume yet, say.
        """
        found = self._standing("inputs", "token", tokens)
        standing = {token: rows[0] for token, rows in found.items()}
        items = {row["item"] for row in standing.values() if row["item"]}
        columns = ["source_files", "source_checksums"]
        read: dict[str, str] = {}
        for row in self.context.store.read_items("candidates", "series_id", items, columns):
            checksums = row["source_checksums"] or [""] * len(row["source_files"])
            read.update(zip(row["source_files"], checksums, strict=True))
        return {t: (row["fingerprint"], read.get(t, "")) for t, row in standing.items()}

    def write(self, rows: Sequence[Input], gone: Collection[str] = ()) -> None:
        """Commit changed rows, and remove those of the tokens `gone`."""
        tokens = {row.token for row in rows} | set(gone)
        if tokens:
            self._open()
            self.context.store.replace("inputs", tokens, rows, {"kind": self.kind})

    def _open(self) -> None:
        if not self.wrote and not self.damaged:
            open_source(self.context, self.stage, self.source)
        self.wrote = True

    def _standing(
        self, table: str, column: str, tokens: Collection[str]
    ) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        if tokens:
            mine = ("kind", "=", self.kind) if table == "inputs" else ("stage", "=", self.stage)
            among = (column, "in", sorted(tokens))
            for row in self.context.store.read(table, None, [mine, among]).to_pylist():
                found[row[column]].append(row)
        return found


def owners(key: bytes, names: Names, token: str) -> set[str]:
    """Under which hashes the vault keeps what a refused file tells of its patient."""
    return {link.value_hash for link in links(key, names, token)}


def close(context: Context, writers: Sequence[SourceWriter]) -> None:
    """Record what discovery left of each source that was written to or has no ledger row yet.

    A source that was not written to is as the ledger says and is not hashed again.
    """
    if not writers:
        return
    stage, kind = writers[0].stage, writers[0].kind
    told = context.store.read("ledger", ["item"], [("stage", "=", stage)])["item"].to_pylist()
    wanted = {one.source for one in writers if one.wrote or one.damaged or one.source not in told}
    if wanted:
        close_sources(context, stage, kind, wanted)


def _stands(
    one: Seen,
    rows: dict[str, list[dict[str, Any]]],
    asides: dict[str, list[dict[str, Any]]],
    columns: Sequence[str] = tuple(TABLES["inputs"].columns),
) -> bool:
    """Whether the tables already hold the rows that a file gives now, in `columns` of inputs."""
    token = one.row.token
    expected = [_as_read(one.aside)] if one.aside else []
    given = _as_read(one.row)
    standing = [{name: row[name] for name in columns} for row in rows.get(token, [])]
    return standing == [{name: given[name] for name in columns}] and (
        asides.get(token, []) == expected
    )


def _as_read(row: Input | Quarantined) -> dict[str, Any]:
    """A row as the store gives it."""
    values = asdict(row)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
