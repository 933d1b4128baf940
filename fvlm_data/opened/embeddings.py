"""What looks alike to a model: embeddings of anatomies as `fvlm-eval embed` writes them.

fvlm_data does not import fvlm_train: the text side of a run, which places a text among them, is
found by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from fvlm_data.errors import InputError
from fvlm_data.extras import needs_extra

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

COLUMNS = {"sample_id", "patient_id", "study_id", "volume_id", "anatomy", "embedding"}

NEAREST = """
WITH mine AS MATERIALIZED (
    SELECT sample_id, patient_id, embedding FROM read_parquet($file)
    WHERE study_id = $study AND anatomy = $anatomy ORDER BY sample_id LIMIT 1
)
SELECT study_id, max(list_cosine_similarity(other.embedding::FLOAT[], mine.embedding::FLOAT[]))
FROM read_parquet($file) other, mine
WHERE other.anatomy = $anatomy AND other.patient_id <> mine.patient_id
GROUP BY study_id
ORDER BY 2 DESC, study_id LIMIT $limit
"""
NEAREST_TO = """
SELECT study_id, anatomy, max(list_cosine_similarity(embedding::FLOAT[], $vector::FLOAT[]))
FROM read_parquet($file)
WHERE $anatomy IS NULL OR anatomy = $anatomy
GROUP BY study_id, anatomy
ORDER BY 3 DESC, study_id, anatomy LIMIT $limit
"""
EMBEDDED = """
SELECT anatomy, count(DISTINCT study_id) FROM read_parquet($file) GROUP BY anatomy ORDER BY anatomy
"""
SAMPLED = """
SELECT study_id, any_value(embedding ORDER BY sample_id) FROM read_parquet($file)
WHERE anatomy = $anatomy GROUP BY study_id ORDER BY study_id LIMIT $limit
"""
ANATOMIES = """
SELECT DISTINCT anatomy FROM read_parquet($file) WHERE study_id = $study ORDER BY anatomy
"""


TEXT_SIDE = "fvlm_train.text_side"
"""The module whose `text_side` makes a `TextSide` of a run's folder."""


class TextSide(Protocol):
    """The text side of a trained model."""

    @property
    def step(self) -> int:
        """Training steps of its model."""

    @property
    def anatomies(self) -> Sequence[str]:
        """What the model was trained on."""

    def vector(self, text: str) -> list[float]:
        """A unit vector among those of the images."""


def text_side(run: Path, what: str) -> TextSide:
    """The text side of a run; torch is imported now, on behalf of `what` (a command).

    Raises:
        MissingExtraError: torch or another package of the extra [train] is not installed.
        InputError: the run cannot be read.
    """
    with needs_extra("train", what):
        made: TextSide = import_module(TEXT_SIDE).text_side(run)
    return made


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An anatomy of a study, and the cosine of its embedding and what was asked for."""

    study_id: str
    anatomy: str
    cosine: float


class Embeddings:
    """A file of embeddings, read where it lies by each question: never whole in memory."""

    def __init__(self, file: Path, connection: duckdb.DuckDBPyConnection) -> None:
        """Check that the file is one.

        Raises:
            InputError: it cannot be read, or has other columns.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(file)
        except FileNotFoundError as error:
            raise InputError(
                f"--embeddings {file}: there is no such file; make it with fvlm-eval embed RUN "
                "--store STORE --split SPLIT"
            ) from error
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"--embeddings {file}: cannot be read as Parquet ({type(error).__name__}); "
                "expected embeddings.parquet of fvlm-eval embed"
            ) from error
        if lacking := COLUMNS - set(schema.names):
            raise InputError(
                f"--embeddings {file}: column {', '.join(sorted(lacking))} is missing; expected "
                "embeddings.parquet of fvlm-eval embed"
            )
        self._file = str(file)
        self._connection = connection
        # of a list without a fixed length it is not known
        self._width = getattr(schema.field("embedding").type, "list_size", None)
        told = (schema.metadata or {}).get(b"fvlm")
        self._step = json.loads(told).get("step") if told else None

    def anatomies(self, study_id: str) -> list[str]:
        """Anatomies of a study that are embedded."""
        told = {"file": self._file, "study": study_id}
        rows = self._connection.cursor().execute(ANATOMIES, told).fetchall()
        return [anatomy for (anatomy,) in rows]

    def counts(self) -> dict[str, int]:
        """Studies by anatomy."""
        return dict(self._connection.cursor().execute(EMBEDDED, {"file": self._file}).fetchall())

    def sampled(self, anatomy: str, limit: int) -> list[tuple[str, list[float]]]:
        """Studies, the first by id, which is random, with the embedding of their first sample."""
        told = {"file": self._file, "anatomy": anatomy, "limit": limit}
        rows = self._connection.cursor().execute(SAMPLED, told).fetchall()
        return [(study, list(vector)) for study, vector in rows]

    def nearest(self, study_id: str, anatomy: str, limit: int) -> list[Neighbour]:
        """Studies of other patients whose anatomy is most like that of a study's first sample."""
        told = {"file": self._file, "study": study_id, "anatomy": anatomy, "limit": limit}
        rows = self._connection.cursor().execute(NEAREST, told).fetchall()
        return [Neighbour(study, anatomy, float(cosine)) for study, cosine in rows]

    def check_of(self, side: TextSide, run: Path) -> None:
        """Refuse embeddings of another model than that whose text side this is.

        Raises:
            InputError: their length, or the step of training, is not the run's.
        """
        made = {"numbers": len(side.vector("liver")), "step": side.step}
        held = {"numbers": self._width, "step": self._step}
        for name, value in held.items():
            if value not in (None, made[name]):
                raise InputError(
                    f"--embeddings {self._file}: {name} {value}, expected {made[name]} of run "
                    f"{run}; make them anew with fvlm-eval embed"
                )

    def nearest_to(
        self, vector: Sequence[float], anatomy: str | None, limit: int
    ) -> list[Neighbour]:
        """Studies whose anatomy is nearest to a vector; with None each anatomy of each study."""
        told = {
            "file": self._file, "vector": list(vector), "anatomy": anatomy, "limit": limit,
        }  # fmt: skip
        rows = self._connection.cursor().execute(NEAREST_TO, told).fetchall()
        return [Neighbour(study, of, float(cosine)) for study, of, cosine in rows]
