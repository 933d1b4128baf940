"""What looks alike to a model: embeddings of anatomies as `fvlm-eval embed` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError

if TYPE_CHECKING:
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


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A study of another patient, and the cosine of both embeddings of an anatomy."""

    study_id: str
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
            found = set(pq.read_schema(file).names)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"--embeddings {file}: cannot be read as Parquet ({type(error).__name__}); "
                "expected embeddings.parquet of fvlm-eval embed"
            ) from error
        if lacking := COLUMNS - found:
            raise InputError(
                f"--embeddings {file}: column {', '.join(sorted(lacking))} is missing; expected "
                "embeddings.parquet of fvlm-eval embed"
            )
        self._file = str(file)
        self._connection = connection

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
        return [Neighbour(study, float(cosine)) for study, cosine in rows]
