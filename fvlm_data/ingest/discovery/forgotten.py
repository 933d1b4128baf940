"""Files of patients and studies that were forgotten, recognised when a source offers them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.identity.forgotten import REASONS, told
from fvlm_data.identity.ids import keyed_id, link_key
from fvlm_data.ingest.discovery.commit import Seen
from fvlm_data.ingest.discovery.series_item import series_item
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.volume.description import described, load, stem
from fvlm_data.ingest.volume.names import patient_id, study_id
from fvlm_data.store.discovered import changed_sources, close_sources, open_sources
from schemas import Input, Quarantined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.identity.vault import Vault
    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.store.declared import Context, Row
    from fvlm_data.store.tables import Store

STAGE, KIND, INGEST = "discover", "file", "ingest"


def forgotten(
    vault: Vault, source: SourceConfig, files: Sequence[tuple[str, FoundFile, Probed]]
) -> dict[str, str]:
    """What is to become of files that were forgotten, or whose patient or study was, by token."""
    named = {
        token: {token, *_ids(vault.key, source, found, probed)} for token, found, probed in files
    }
    gone = vault.forgotten({one for ids in named.values() for one in ids})
    return {
        token: gone[sorted(ids & gone.keys())[0]]
        for token, ids in named.items()
        if not ids.isdisjoint(gone)
    }


def pathless(store: Store) -> set[str]:
    """Tokens of what a source offers and was forgotten: the vault knows no path of them.

    Raises:
        StoreError: the table cannot be read.
    """
    told_so = [("reason", "in", sorted(REASONS.values()))]
    return set(store.read("quarantine", ["item"], told_so)["item"].to_pylist())


def as_forgotten(key: bytes, source: str, token: str, later: str) -> Seen:
    """What tables may hold of such a file: that there is one.

    Its token there leads nowhere: the vault does not know it.
    """
    own = keyed_id(key, "f", "forgotten", token)
    kind, reason, detail = told(later)
    row = Input(
        kind=KIND,
        token=own,
        source=source,
        item=None,
        fingerprint="",
        size_bytes=0,
        modified_ns=0,
    )
    aside = Quarantined(
        kind=kind, stage=STAGE, item=own, reason=reason, detail=detail, source_files=(own,)
    )
    return Seen(row, aside, "")


def unname_series(context: Context) -> None:
    """Leave of series that were recognised only as they were read what discovery leaves of others.

    Raises:
        StoreError: the store or the vault cannot be read or written.
    """
    store = context.store
    for later, reason in REASONS.items():
        mine = [("stage", "=", INGEST), ("reason", "=", reason)]
        rows = store.read("quarantine", ["item", "source_files"], mine).to_pylist()
        tokens = {token for row in rows for token in row["source_files"]}
        if not tokens:
            continue
        found = store.read_items("inputs", "token", tokens, ["token", "source"])
        beside = _read_with(context, found)
        tokens |= {row["token"] for row in beside}
        found += beside
        key = context.vault.key
        seen = [as_forgotten(key, row["source"], row["token"], later) for row in found]
        sources = {row["source"] for row in found} - changed_sources(context, STAGE, KIND)
        open_sources(context, STAGE, sources)
        items = [row["item"] for row in rows]
        context.vault.erase(tokens)
        store.replace("ledger", items, [], {"stage": INGEST})
        asides = [one.aside for one in seen if one.aside]
        tokens_of_asides = [*tokens, *(one.row.token for one in seen)]
        store.replace("quarantine", tokens_of_asides, asides, {"stage": STAGE})
        store.replace(
            "inputs",
            [*tokens, *(one.row.token for one in seen)],
            [one.row for one in seen],
            {"kind": KIND},
        )
        # last: by these a killed run is taken up again
        store.replace("quarantine", items, [], {"stage": INGEST})
        close_sources(context, STAGE, KIND, sources)


def _read_with(context: Context, files: Sequence[Row]) -> list[Row]:
    """Rows of what was read with these files: its path is that of one of them but for the ending.

    Sidecars and detached voxels are called after a patient as their volume is.
    """
    paths = context.vault.file_paths(row["token"] for row in files)
    named = [row for row in files if row["token"] in paths]
    places = {(row["source"], stem(paths[row["token"]])) for row in named}
    among = [("kind", "=", KIND), ("source", "in", sorted({source for source, _ in places}))]
    rows = context.store.read("inputs", ["token", "source", "item"], among).to_pylist()
    loose = [row for row in rows if row["item"] is None]
    known = context.vault.file_paths(row["token"] for row in loose)
    # one that was forgotten before has no path
    return [
        row
        for row in loose
        if row["token"] in known and (row["source"], stem(known[row["token"]])) in places
    ]


def _ids(key: bytes, source: SourceConfig, found: FoundFile, probed: Probed) -> Iterator[str]:
    """Everything by which a file, its series, study or patient may have been forgotten."""
    if not probed.aside:
        yield series_item(key, source, found, probed)
    for kind, value in (
        ("study_uid", probed.whole.study_uid),
        ("series_uid", probed.whole.series_uid),
    ):
        if value:
            yield link_key(kind, value, key=key)
    names = probed.names
    if names is not None:
        item = series_item(key, source, found, probed)
        yield patient_id(key, names, item)
        yield study_id(key, names, item)
        for kind, value, issuer in (
            ("study_uid", names.study_uid, ""),
            ("series_uid", names.series_uid, ""),
            # with its issuer, where it has one: another hospital may have the same number
            ("patient_id", names.patient, names.patient_issuer),
        ):
            if value.strip():
                yield link_key(kind, value, issuer or None, key=key)
    yield from _by_mapping(key, source, found)


def _by_mapping(key: bytes, source: SourceConfig, found: FoundFile) -> Iterator[str]:
    """Ids by what a mapping CSV says of a file."""
    columns = SOURCES.load(source.kind).mapping
    if source.mapping is None or columns is None:
        return
    description = described(load(source.mapping, columns), found.relative)
    for kind, column in (
        ("patient_id", "patient"),
        ("patient_id", "PatientID"),
        ("study_uid", "study"),
        ("study_uid", "StudyInstanceUID"),
    ):
        value = description.get(column) if description is not None else ""
        if value:
            yield link_key(kind, value, key=key)
