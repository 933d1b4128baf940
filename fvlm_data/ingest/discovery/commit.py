"""What discovery writes of one source: only rows that differ from those in the tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.identity.ids import keyed_id
from fvlm_data.ingest.volume.names import links
from fvlm_data.store.discovered import close_sources, open_source
from schemas import IdentityMark

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fvlm_data.ingest.volume.names import Names
    from fvlm_data.store.declared import Context
    from schemas import Input, Quarantined


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

        `known` are the tokens that may have rows already. The rows of `inputs` come last: a file
        counts as known only once the rest is written.
        """
        asides = self._standing("quarantine", "item", [one.row.token for one in files])
        rows = self._standing("inputs", "token", known)
        new = [one for one in files if not _stands(one, rows, asides)]
        if not new:
            return []
        self._open()
        tokens = [one.row.token for one in new]
        self.context.vault.remember_files({one.row.token: one.relative for one in new})
        self._remember_names([one for one in new if one.aside and one.names and one.identities])
        set_aside = [one.aside for one in new if one.aside]
        if set_aside or not asides.keys().isdisjoint(tokens):
            self.context.store.replace("quarantine", tokens, set_aside, {"stage": self.stage})
        self.context.store.replace("inputs", tokens, [one.row for one in new], {"kind": self.kind})
        return new

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
            mark = keyed_id(key, "im", *sorted(one.identities))
            for owner in {link.value_hash for link in links(key, one.names, one.row.token)}:
                told[owner] |= one.identities
                marks.append(IdentityMark(owner_id=owner, series_id=one.row.token, mark=mark))
        for owner, identities in told.items():
            self.context.vault.remember_patient(owner, identities)
        if marks:
            tokens = sorted({mark.series_id for mark in marks})
            self.context.store.replace("identity_marks", tokens, marks)

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
    one: Seen, rows: dict[str, list[dict[str, Any]]], asides: dict[str, list[dict[str, Any]]]
) -> bool:
    """Whether the tables already hold exactly the rows that a file gives now."""
    token = one.row.token
    expected = [_as_read(one.aside)] if one.aside else []
    return rows.get(token) == [_as_read(one.row)] and asides.get(token, []) == expected


def _as_read(row: Input | Quarantined) -> dict[str, Any]:
    """A row as the store gives it."""
    values = asdict(row)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
