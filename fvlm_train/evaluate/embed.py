"""The command `fvlm-eval embed`: what a model sees in scans, as tables.

embeddings.parquet, one row a sample and anatomy that it shows, and scores.parquet, one row a sample
and finding: docs/evaluation.md lists their columns.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, InputError
from fvlm_train.evaluate.embeddings import embed_samples
from fvlm_train.evaluate.scoring import as_scores, probabilities, scored_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from fvlm_train.config import EvaluateConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.embeddings import Embeddings
    from fvlm_train.evaluate.scoring import Score
    from fvlm_train.prompts import Finding
    from fvlm_train.runs import TrainedRun

EMBEDDINGS = "embeddings.parquet"
SCORES = "scores.parquet"
SAMPLES_SHOWN = 20
FINDINGS_SHOWN = 3

SPACING_TOLERANCE = 0.05
"""Share by which the spacing of a sample may differ from that of the training samples: the public
recipe's grid stretches it by less."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embeddings and finding scores of samples; `places` is where each lies among the inputs."""

    embeddings: Embeddings
    scores: list[Score]
    places: tuple[str | None, ...]
    volumes: tuple[str, ...]
    step: int


def embed(
    run: TrainedRun,
    source: SampleSource,
    findings: Sequence[Finding],
    config: EvaluateConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Embedded:
    """Embeddings of all anatomies, and scores of all findings in them.

    Raises:
        ConfigError: samples have another spacing than the training samples had.
        StoreError: a sample cannot be read.
    """
    check_spacing(run, source)
    wanted = scored_findings(run.model, findings)
    embeddings = embed_samples(run.model, source, run.config, config, None, progress)
    scores = []
    if wanted:
        scores_bf = probabilities(run.model, embeddings, wanted, run.config, config)
        scores = as_scores(source, embeddings, wanted, scores_bf)
    return Embedded(embeddings, scores, _places(source), _volumes(source), run.step)


def check_spacing(run: TrainedRun, source: SampleSource) -> None:
    """Refuse samples of another spacing: every organ would have another size.

    Runs of older versions do not know theirs.

    Raises:
        ConfigError: names the sample and both spacings.
    """
    if run.spacing_mm is None or "spacing_mm" not in source.rows.column_names:
        return
    for row in source.rows.select(["sample_id", "spacing_mm"]).to_pylist():
        pairs = zip(row["spacing_mm"], run.spacing_mm, strict=True)
        if any(abs(ours / theirs - 1) > SPACING_TOLERANCE for ours, theirs in pairs):
            found, wanted = (
                " x ".join(f"{one:.2f}" for one in reversed(spacing))
                for spacing in (row["spacing_mm"], run.spacing_mm)
            )
            raise ConfigError(
                f"sample {row['sample_id']}: its spacing is {found} mm (x, y, z), the run was "
                f"trained at {wanted} mm: set shard.spacing_mm, or name the store of the run"
            )


def embeddings_table(found: Embedded) -> pa.Table:
    """One row a sample and anatomy that it shows."""
    import pyarrow as pa

    table = found.embeddings
    columns: dict[str, list[Any]] = defaultdict(list)
    present_ba = table.present_ba.tolist()
    for number, sample in enumerate(table.sample_ids):
        for place, anatomy in enumerate(table.anatomies):
            if present_ba[number][place]:
                columns["sample_id"].append(sample)
                columns["patient_id"].append(table.patient_ids[number])
                columns["study_id"].append(table.study_ids[number])
                columns["volume_id"].append(found.volumes[number])
                columns["source"].append(found.places[number])
                columns["anatomy"].append(anatomy)
                columns["embedding"].append(table.features_bae[number, place].tolist())
    text = ("sample_id", "patient_id", "study_id", "volume_id", "source", "anatomy")
    width = table.features_bae.shape[2]
    fields = [*((name, pa.string()) for name in text), ("embedding", pa.list_(pa.float32(), width))]
    told = {b"fvlm": json.dumps({"step": found.step}).encode()}
    return pa.table(
        {name: columns[name] for name, _ in fields}, schema=pa.schema(fields, metadata=told)
    )


def scores_table(found: Embedded) -> pa.Table:
    """One row a sample and finding; of an anatomy that is not shown the score is null."""
    import pyarrow as pa

    place_of = dict(zip(found.embeddings.sample_ids, found.places, strict=True))
    rows = [
        {
            "sample_id": one.sample_id,
            "patient_id": one.patient_id,
            "study_id": one.study_id,
            "source": place_of[one.sample_id],
            "finding": one.finding,
            "anatomy": one.anatomy,
            "anatomy_present": one.anatomy_present,
            "score": one.score if one.anatomy_present else None,
        }
        for one in found.scores
    ]
    text = ("sample_id", "patient_id", "study_id", "source", "finding", "anatomy")
    fields = [*((name, pa.string()) for name in text), ("anatomy_present", pa.bool_())]
    return pa.Table.from_pylist(rows, schema=pa.schema([*fields, ("score", pa.float64())]))


def write_tables(found: Embedded, out: Path) -> list[Path]:
    """Write both tables into the folder `out`.

    Raises:
        InputError: it cannot be written.
    """
    import pyarrow.parquet as pq

    try:
        out.mkdir(parents=True, exist_ok=True)
        pq.write_table(embeddings_table(found), out / EMBEDDINGS)
        pq.write_table(scores_table(found), out / SCORES)
    except OSError as error:
        raise InputError(
            f"tables {out}: cannot be written ({type(error).__name__}); name another folder by "
            "--out"
        ) from error
    return [out / EMBEDDINGS, out / SCORES]


def printed(found: Embedded) -> list[str]:
    """The first samples, anatomy by anatomy, findings by score."""
    table = found.embeddings
    by_place: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for one in found.scores:
        by_place[one.sample_id, one.anatomy].append(one)
    present_ba = table.present_ba.tolist()
    width = max(len(anatomy) for anatomy in table.anatomies)
    lines = []
    for number, sample in enumerate(table.sample_ids[:SAMPLES_SHOWN]):
        place = f", {found.places[number]}" if found.places[number] else ""
        lines.append(f"sample {sample} of study {table.study_ids[number]}{place}")
        for at, anatomy in enumerate(table.anatomies):
            scores = sorted(by_place[sample, anatomy], key=lambda one: (-one.score, one.finding))
            first = [f"{one.finding} {one.score:.2f}" for one in scores[:FINDINGS_SHOWN]]
            more = len(scores) - len(first)
            told = ", ".join([*first, *([f"{more} more"] if more else [])]) or "no finding"
            lines.append(f"  {anatomy:<{width}}  {told if present_ba[number][at] else 'not shown'}")
    left = len(table.sample_ids) - SAMPLES_SHOWN
    if left > 0:
        lines.append(f"and {left} more samples in the tables")
    shown = int(table.present_ba.sum())
    lines.append(
        f"{len(table.sample_ids)} samples, {shown} embeddings of {table.features_bae.shape[2]} "
        f"numbers, {len(found.scores)} scores"
    )
    return lines


def _volumes(source: SampleSource) -> tuple[str, ...]:
    rows = source.rows
    if "volume_id" not in rows.column_names:
        return ("",) * len(rows)
    return tuple(rows["volume_id"].to_pylist())


def _places(source: SampleSource) -> tuple[str | None, ...]:
    """Source files of each sample as one place: the file, or the folder that all lie in."""
    rows = source.rows
    if "source_files" not in rows.column_names:
        return (None,) * len(rows)
    return tuple(_place(files) for files in rows["source_files"].to_pylist())


def _place(files: Sequence[str]) -> str | None:
    if not files:
        return None
    if len(files) == 1:
        return files[0]
    folders = [file.split("/")[:-1] for file in files]
    common = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "/".join(common) or None
