"""What the decoder learns from: an anatomy's embedding, the context, the sentences about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import InputError
from fvlm_train.generation.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Array = np.ndarray[Any, Any]

INDICATION_WORDS = 24
EXPECTED = "expected the records.jsonl of `fvlm-data export report-generation`"


@dataclass(frozen=True, slots=True)
class Example:
    """One anatomy of one study; embedding (E,).

    `told` are the words of its sentences, none where the report does not speak of it. `context` are
    words and marks of what was known before.
    """

    study: str
    patient: str
    split: str
    anatomy: str
    embedding_e: Array
    context: tuple[str, ...]
    told: tuple[str, ...]


def read_records(file: Path) -> list[dict[str, Any]]:
    """The records of an export.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["study_id"], row["patient_id"], row["split"]
            row["context"]["prior"], row["targets"]["anatomies"].items()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({type(error).__name__}); {EXPECTED}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: {type(error).__name__} in a line; {EXPECTED}") from error
    return rows


def examples(
    records: Sequence[Mapping[str, Any]], embedded: Mapping[tuple[str, str], Array]
) -> list[Example]:
    """Each anatomy of each record that has an embedding, in the order of the records.

    `embedded` holds embeddings (E,) by study and anatomy.

    Raises:
        InputError: no study of the records has an embedding.
    """
    of_study: dict[str, dict[str, Array]] = {}
    for (study, anatomy), embedding_e in embedded.items():
        of_study.setdefault(study, {})[anatomy] = embedding_e
    found = [
        Example(
            study=record["study_id"],
            patient=record["patient_id"],
            split=record["split"],
            anatomy=anatomy,
            embedding_e=embedding_e,
            context=tuple(context_words(record["context"], anatomy)),
            told=tuple(words(record["targets"]["anatomies"].get(anatomy, ""))),
        )
        for record in records
        for anatomy, embedding_e in sorted(of_study.get(record["study_id"], {}).items())
    ]
    if not found:
        raise InputError(
            "no study of the records has an embedding; expected --embeddings of the same store "
            "(`fvlm-eval embed`)"
        )
    return found


def context_words(context: Mapping[str, Any], anatomy: str) -> Iterator[str]:
    """Age by decade, sex, indication, values, what the prior told of the anatomy, as words."""
    age = context.get("age_years")
    yield "<age>" if age is None else f"<age {int(age) // 10 * 10}>"
    yield f"<sex {context.get('sex') or '-'}>"
    yield from words(context.get("clinical_information") or "")[:INDICATION_WORDS]
    for value in context.get("clinical") or ():
        yield f"<{value['name']}>"
        yield f"{value['value']:.2g}"
    prior = context.get("prior")
    if prior is None:
        yield "<no prior>"
        return
    yield "<prior>"
    for one in prior["mentions"]:
        if one["anatomy"] == anatomy:
            yield f"<{one['finding']}>"
            yield f"<{one['status']}>"
            if one["laterality"]:
                yield f"<{one['laterality']}>"
            if one["size_mm"] is not None:
                yield f"{one['size_mm']:g}"
