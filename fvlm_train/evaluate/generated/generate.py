"""`fvlm-eval generate`: a decoder with and without context, beside what is said most often."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError
from fvlm_train.evaluate.generated.files import Written
from fvlm_train.evaluate.generated.score import GeneratedScores, score_generated
from fvlm_train.generation.examples import examples
from fvlm_train.generation.words import as_text
from fvlm_train.generation.write import Fit, fitted_writer, written_reports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.reports import ReportParser
    from fvlm_train.config import EvaluateConfig
    from fvlm_train.evaluate.change import Embedded
    from fvlm_train.generation.examples import Example

MOST_OFTEN, IMAGE, CONTEXT = "most_often", "image", "image_and_context"
WAYS = (MOST_OFTEN, IMAGE, CONTEXT)


@dataclass(frozen=True, slots=True)
class Generated:
    """Reports by study and their scores, by the way that they were written."""

    reports: Mapping[str, Mapping[str, str]]
    scores: Mapping[str, GeneratedScores]

    def as_json(self) -> dict[str, Any]:
        """Scores as plain values."""
        return {way: one.as_json() for way, one in self.scores.items()}


def generate(
    records: Sequence[Mapping[str, Any]],
    embedded: Embedded,
    splits: tuple[str, str],
    fit: Fit,
    parser: ReportParser,
    config: EvaluateConfig,
    progress: Callable[[str, int, int], None] = lambda way, done, total: None,
) -> Generated:
    """Fit on the first of `splits`, write and score the reports of the second.

    References are the sentences of the anatomies that have an embedding: of others nothing can be
    written. `most_often` writes of each anatomy what the fitted reports say most often of it.

    Raises:
        ConfigError: a split has no study with embeddings and sentences.
        InputError: no study of the records has an embedding.
    """
    fit_on, judged = splits
    all_examples = examples(records, embedded)
    train, test = ([one for one in all_examples if one.split == split] for split in splits)
    for split, some in ((fit_on, train), (judged, test)):
        if not any(one.told for one in some):
            raise ConfigError(
                f"split {split}: no study has a report and embeddings; expected --embeddings of "
                "its studies"
            )
    reports: dict[str, dict[str, str]] = {MOST_OFTEN: _most_often(train, test)}
    for way, with_context in ((IMAGE, False), (CONTEXT, True)):
        writer = fitted_writer(
            train,
            replace(fit, with_context=with_context),
            lambda done, total, way=way: progress(way, done, total),  # type: ignore[misc]
        )
        reports[way] = written_reports(writer, test)
    references = _references(test)
    scores = {
        way: score_generated(
            {study: Written(text, study) for study, text in told.items()},
            references, parser, "ct_rate", config,
        )
        for way, told in reports.items()
    }  # fmt: skip
    return Generated(reports, scores)


def write_reports(generated: Generated, folder: Path) -> list[Path]:
    """A file of JSON lines for each way, as `fvlm-eval generated` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for way, told in generated.reports.items():
        path = folder / f"{way}.jsonl"
        lines = (json.dumps({"study_id": study, "text": text}) for study, text in told.items())
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        paths.append(path)
    return paths


def printed(generated: Generated, confidence: float) -> list[str]:
    """A line for each way, and what they are judged on."""
    first = next(iter(generated.scores.values()))
    return [
        f"{'':<18} {'findings F1':<20} {'with side':<20} {'CRG':<20} BLEU-4  ROUGE-L METEOR",
        *(
            f"{way.replace('_', ' '):<18} {_told(one.f1):<20} {_told(one.sided_f1):<20} "
            f"{_told(one.crg):<20} {one.likeness.bleu[3]:.3f}   {one.likeness.rouge_l:.3f}   "
            f"{one.likeness.meteor:.3f}"
            for way, one in generated.scores.items()
        ),
        f"{first.studies} studies of {first.patients} patients; {confidence:.0%} intervals",
    ]


def _told(one: Any) -> str:
    if one.value is None:
        return "-"
    spread = "" if one.low is None else f" ({one.low:.3f}-{one.high:.3f})"
    return f"{one.value:.3f}{spread}"


def _references(test: Sequence[Example]) -> dict[str, Written]:
    parts: dict[str, list[str]] = {one.study: [] for one in test}
    patients = {one.study: one.patient for one in test}
    for one in test:
        if one.told:
            parts[one.study].append(as_text(one.told))
    return {study: Written(" ".join(told), patients[study]) for study, told in parts.items()}


def _most_often(train: Sequence[Example], test: Sequence[Example]) -> dict[str, str]:
    counts: dict[str, Counter[tuple[str, ...]]] = {}
    for one in train:
        if one.told:
            counts.setdefault(one.anatomy, Counter())[one.told] += 1
    usual = {anatomy: told.most_common(1)[0][0] for anatomy, told in counts.items()}
    parts: dict[str, list[str]] = {one.study: [] for one in test}
    for one in test:
        if usual.get(one.anatomy):
            parts[one.study].append(as_text(usual[one.anatomy]))
    return {study: " ".join(told) for study, told in parts.items()}
