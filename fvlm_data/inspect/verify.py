"""Conservation and consistency of a store, proved by counting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.shards.folder import ShardFolder, group_path, index_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from fvlm_data.store.reading import Condition
    from fvlm_data.store.tables import Store


@dataclass(frozen=True, slots=True)
class Check:
    """One proved or broken statement; `examples` are ids or tokens that break it.

    `remedy` says what mends a broken one, where a person can.
    """

    name: str
    passed: bool
    counted: str
    examples: tuple[str, ...] = ()
    remedy: str = ""


def verify(store: Store) -> list[Check]:
    """Count every input file, series, study and report, and look for what contradicts itself."""
    volumes = _column(store, "volumes", "volume_id")
    return [
        _files(store),
        _series(store),
        _studies(store),
        _reports(store),
        *(_unique(store, name) for name in schemas.TABLES),
        _orphans("masks of volumes", _column(store, "masks", "volume_id"), volumes),
        _orphans("samples of volumes", _column(store, "samples", "volume_id"), volumes),
        _orphans(
            "sentences of reports",
            _column(store, "sentences", "report_id"),
            _column(store, "reports", "report_id"),
        ),
        _leaks(store),
        _image_leaks(store),
        _present(store),
    ]


def _column(store: Store, table: str, column: str, where: Sequence[Condition] = ()) -> list[Any]:
    values: list[Any] = store.read(table, [column], where)[column].to_pylist()
    return values


def _set_aside(store: Store, *stages: str) -> list[dict[str, Any]]:
    columns = ["item", "reason", "source_files"]
    rows: list[dict[str, Any]] = store.read(
        "quarantine", columns, [("stage", "in", list(stages))]
    ).to_pylist()
    return rows


def _waiting(store: Store, kind: str) -> list[str]:
    return _column(store, "waiting", "owner_id", [("owner_kind", "=", kind)])


def _files(store: Store) -> Check:
    """Every offered file is a source of one series' volumes, or set aside, once."""
    offered = _column(store, "inputs", "token", [("kind", "=", "file")])
    volumes = store.read("volumes", ["series_id", "source_files"]).to_pylist()
    # a multi-frame file may hold several volumes of its series: it counts once
    pairs = {(row["series_id"], token) for row in volumes for token in row["source_files"]}
    accepted = [token for _, token in sorted(pairs)]
    aside = [
        token
        for row in _set_aside(store, "discover", "ingest", "select")
        for token in row["source_files"]
    ]
    return _partition("files", set(offered), accepted, aside, [])


def _series(store: Store) -> Check:
    rows = store.read("inputs", ["item", "token"], [("kind", "=", "file")]).to_pylist()
    series_of = {row["token"]: row["item"] for row in rows}
    offered = set(series_of.values()) - {None}
    accepted = set(_column(store, "volumes", "series_id"))
    aside = {row["item"] for row in _set_aside(store, "ingest")}
    for row in _set_aside(store, "select"):
        aside.update(series_of.get(token, token) for token in row["source_files"])
    aside -= accepted
    return _partition("series", offered, accepted, aside, [])


def _studies(store: Store) -> Check:
    taken = set(_column(store, "volumes", "study_id"))
    offered = taken.union(_column(store, "candidates", "study_id"))
    waiting = set(_waiting(store, "study"))
    # a study whose text of one anatomy is set aside is accepted with the others
    accepted = set(_column(store, "anatomy_texts", "study_id")) - waiting
    aside = {row["item"] for row in _set_aside(store, "pair")} & taken - accepted
    aside |= {row["item"] for row in _set_aside(store, "select")} - taken
    return _partition("studies", offered, accepted, aside, waiting)


def _reports(store: Store) -> Check:
    """Every offered report row is joined to a study, waits for one, or is set aside."""
    rows = store.read("inputs", ["item", "token"], [("kind", "=", "report")]).to_pylist()
    tokens = {row["item"]: row["token"] for row in rows if row["item"]}
    aside = {row["item"] for row in _set_aside(store, "discover_reports", "reports")} | {
        row["item"]
        for row in _set_aside(store, "match")
        if row["reason"] in ("conflicting_links", "ambiguous_links")
    }
    joined = set(_column(store, "study_reports", "report_id"))
    return _partition(
        "reports",
        {row["token"] for row in rows},
        [tokens.get(item, item) for item in joined],
        [tokens.get(item, item) for item in aside],
        [tokens.get(item, item) for item in _waiting(store, "report")],
    )


def _partition(
    name: str,
    offered: Collection[str],
    accepted: Iterable[str],
    aside: Iterable[str],
    waiting: Iterable[str],
) -> Check:
    places = Counter((*accepted, *aside, *waiting))
    lost = sorted(set(offered) - places.keys())
    twice = sorted(item for item, number in places.items() if number > 1)
    unknown = sorted(places.keys() - set(offered))
    counted = (
        f"{len(offered)} offered, {len(lost)} unaccounted for, {len(twice)} in two places, "
        f"{len(unknown)} never offered"
    )
    wrong = (*lost, *twice, *unknown)
    return Check(f"every one of the {name} is in exactly one place", not wrong, counted, wrong[:5])


def _unique(store: Store, name: str) -> Check:
    keys = list(schemas.TABLES[name].primary_key)
    rows = store.read(name, keys)
    numbers = rows.group_by(keys).aggregate([([], "count_all")])
    twice = numbers.filter(pc.greater(numbers["count_all"], 1)).select(keys).to_pylist()
    examples = sorted(" ".join(map(str, row.values())) for row in twice)
    counted = f"{rows.num_rows} rows"
    return Check(f"table {name} has one row a primary key", not twice, counted, tuple(examples[:5]))


def _orphans(name: str, references: list[str], known: Collection[str]) -> Check:
    orphans = sorted(set(references) - set(known))
    return Check(f"{name} exist", not orphans, f"{len(references)} rows", tuple(orphans[:5]))


def _leaks(store: Store) -> Check:
    """No patient is in two splits."""
    splits: dict[str, set[str]] = {}
    for row in store.read("samples", ["patient_id", "split"]).to_pylist():
        splits.setdefault(row["patient_id"], set()).add(row["split"])
    torn = sorted(patient for patient, names in splits.items() if len(names) > 1)
    return Check(
        "each patient is in one split", not torn, f"{len(splits)} patients", tuple(torn[:5])
    )


def _image_leaks(store: Store) -> Check:
    """No image is in two splits, under whatever patient."""
    columns = ["volume_id", "content_sha256", "pixels_sha256"]
    images = {
        volume: {content, pixels} - {None}
        for volume, content, pixels in zip(
            *(column.to_pylist() for column in store.read("volumes", columns).columns), strict=True
        )
    }
    splits: dict[str, set[str]] = {}
    samples = store.read("samples", ["volume_id", "split"]).to_pylist()
    for row in samples:
        for image in images.get(row["volume_id"], ()):
            splits.setdefault(image, set()).add(row["split"])
    torn = {image for image, names in splits.items() if len(names) > 1}
    volumes = sorted(volume for volume, those in images.items() if those & torn)
    return Check(
        "each image is in one split", not torn, f"{len(samples)} samples", tuple(volumes[:5])
    )


def _present(store: Store) -> Check:
    tables = ("candidates", "volumes", "masks")
    wanted = {path for table in tables for path in _column(store, table, "path")}
    shards = {(row["split"], row["shard"]) for row in _placed(store)}
    for split, shard in shards:
        wanted.add(index_path(split, shard))
        wanted.update(_objects(store, split, shard))
    there = {path for folder in ("volumes", "masks", "shards") for path in store.files(folder)}
    missing = sorted(wanted - there)
    return Check(
        "every named file is there",
        not missing,
        f"{len(wanted)} files",
        tuple(missing[:5]),
        "restore volumes and masks from a backup; remove what is left of a shard (.zarr, .parquet) "
        "and run `fvlm-data shard`, which writes it anew",
    )


def _placed(store: Store) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store.read("samples", ["split", "shard"]).to_pylist()
    return rows


def _objects(store: Store, split: str, shard: str) -> Iterator[str]:
    """Files of a shard's group: as many objects of each array as its metadata say."""
    group = group_path(split, shard)
    try:
        _, arrays = ShardFolder(store.url).read_group(split, shard, None)
    except StoreError:
        yield from (f"{group}{name}/zarr.json" for name in ("", "/image", "/label"))
        return
    for name, array in arrays.items():
        for number in range(-(-array.shape_zyx[0] // array.object_z)):
            yield f"{group}/{name}/c/{number}/0/0"
