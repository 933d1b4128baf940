"""What --dry-run tells of a command that reads samples and a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.cli.dry import Intent, print_intent

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_reading_intent(
    run: Path,
    store: str | None,
    splits: Sequence[str],
    files: Sequence[Path],
    *,
    as_json: bool,
) -> None:
    """Print which samples a command would read, and the files that it would write.

    Raises:
        InputError: the run or the samples cannot be read.
        StoreError: the store cannot be read.
    """
    from fvlm_data.store.tables import Store
    from fvlm_train.data.splits import open_split
    from fvlm_train.runs import trained_run

    trained_run(run)
    reads, size = {}, None
    if store is not None and splits:
        reads = {f"samples of {split}": len(open_split(store, split)) for split in splits}
        opened = Store.open(store)
        size = sum(sum(opened.sizes(f"shards/{split}").values()) for split in splits)
    notes = [f"{path}{', over what is there' if path.exists() else ''}" for path in files]
    intent = Intent(reads=reads, read_bytes=size, makes={"files": len(files)}, notes=notes)
    print_intent(intent, as_json=as_json)


def print_inputs_intent(
    run: Path,
    inputs: Sequence[str],
    store: str | None,
    split: str | None,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """The same of images, or of studies of a store; images are counted, not opened.

    Raises:
        InputError: the run or the samples cannot be read.
        StoreError: the store cannot be read.
    """
    from fvlm_train.data.chosen import stored_samples

    places = [Path(one) for one in inputs if Path(one).exists()]
    if split is not None or not inputs:
        splits = [split] if split is not None else []
        print_reading_intent(run, store, splits, [out], as_json=as_json)
        return
    reads, size = {}, None
    if places:
        files = [file for place in places for file in _files(place)]
        reads, size = {"files": len(files)}, sum(file.stat().st_size for file in files)
    elif store is not None:
        reads = {"samples": len(stored_samples(store, inputs))}
    over = ", over what is there" if out.exists() else ""
    notes = [f"in {out}{over}"]
    print_intent(Intent(reads=reads, read_bytes=size, notes=notes), as_json=as_json)


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
