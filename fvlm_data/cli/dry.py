"""What --dry-run prints: what a command would read and make, and what that costs where known."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import print_json, print_line
from fvlm_data.monitoring.pace import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_data.inspect.forecast import Forecast
    from fvlm_data.run.config import Config

DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="say what would be read, made and left out; write nothing"),
]
MB = 1e6
NOTHING_WRITTEN = "dry run: nothing was written"
STATES = {
    "due": "to do",
    "replaced": "of them anew, as what they are made from or a setting has changed",
    "damaged": "of them anew, as their rows or files are damaged",
    "leave": "to leave the tables",
    "held": "held back until what they rest on is mended",
    "lost": "damaged without a source",
    "settled": "settled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a command would do, as numbers by what; sizes in bytes and seconds where known."""

    reads: Mapping[str, int] = field(default_factory=dict)
    read_bytes: int | None = None
    makes: Mapping[str, int] = field(default_factory=dict)
    made_bytes: int | None = None
    deletes: Mapping[str, int] = field(default_factory=dict)
    deleted_bytes: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    stages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: Sequence[str] = ()


def print_intent(intent: Intent, *, as_json: bool) -> None:
    """Print it; the last line says that nothing was written."""
    if as_json:
        print_json({"dry_run": True, **dataclasses.asdict(intent)})
        return
    for verb, counts, size in (
        ("read", intent.reads, intent.read_bytes),
        ("make", intent.makes, intent.made_bytes),
    ):
        listed = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())
        if listed or size is not None:
            told = f" ({_size(size)})" if size is not None else ""
            print_line(f"would {verb}: {listed or 'nothing'}{told}")
    for name, number in intent.deletes.items():
        if number:
            print_line(f"would delete: {number} {name} ({_size(intent.deleted_bytes[name])})")
    for stage, counts in intent.stages.items():
        listed = ", ".join(f"{counts[n]} {told}" for n, told in STATES.items() if counts.get(n))
        print_line(f"  {stage:18} {listed or 'nothing to do'}")
    if intent.seconds:
        print_line(f"time, as these stages last went: {duration(intent.seconds)}")
    for note in intent.notes:
        print_line(note)
    print_line(NOTHING_WRITTEN)


def print_file_intent(
    path: Path,
    what: str,
    *,
    as_json: bool,
    size_bytes: int | None = None,
    reads: Mapping[str, int] | None = None,
) -> None:
    """Print that one file would be written."""
    over = ", over the one that is there" if path.exists() else ""
    print_intent(
        Intent(
            reads=reads or {},
            makes={"file": 1},
            made_bytes=size_bytes,
            notes=[f"{path}: {what}{over}"],
        ),
        as_json=as_json,
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / MB:.1f} MB" if size_bytes >= MB / 10 else f"{size_bytes} bytes"


def print_forecast(
    config: Config, stages: Sequence[str] | None, *, rehash: bool, retry: bool, as_json: bool
) -> None:
    """What a run of stages would do (None: of all); raises as the run would."""
    from fvlm_data.inspect.forecast import forecast

    seen = forecast(config, stages, rehash=rehash, retry=retry)
    print_intent(_intent(config, seen), as_json=as_json)


def _intent(config: Config, seen: Forecast) -> Intent:
    fresh = any(one.new for one in seen.inputs)
    notes = list(seen.announced)
    notes += [
        f"{one.what}: {one.found} on offer, {one.new} new or changed"
        for one in seen.inputs
        if one.new < one.found
    ]
    if not seen.made:
        notes.append(f"store {config.store}: not made yet, all would be new")
    elif fresh:
        notes.append("what new inputs bring is not among the items: it is known once they are read")
    sizes = [one.new_bytes for one in seen.inputs if one.new_bytes is not None]
    return Intent(
        reads={one.what: one.new for one in seen.inputs if one.new},
        read_bytes=sum(sizes) if sizes else None,
        makes={
            f"items of {name}": counts["due"]
            for name, counts in seen.stages.items()
            if counts["due"]
        },
        made_bytes=sum(seen.size_bytes.values()) if seen.size_bytes else None,
        seconds=sum(seen.seconds.values()) or None,
        stages=seen.stages,
        notes=notes,
    )
