"""Every trap series ends as it should, voxel by voxel in patient coordinates."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import trap_contradictions  # noqa: F401 - adds its own to TRAPS
import trap_spellings  # noqa: F401 - as well
from trap_series import PLAIN, TRAPS
from truth import unmatched

from fvlm_data.ingest.config import IngestConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ingested
    from truth import Expected

Rows = list[dict[str, Any]]
ALONE = ("deflated",)
"""Their headers are compressed, and cannot be given the UIDs of a study of its own."""


@pytest.mark.parametrize("name", ALONE)
def test_trap_alone(ingested: Ingested, tmp_path: Path, name: str):
    expected = TRAPS[name].build(tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    check(ingested, expected, ingested.volumes(), ingested.rows("quarantine"))
    ingested.check_conserved()


class Archive(NamedTuple):
    """A store of all traps, what is expected of each, and the path of each file's token."""

    ingested: Ingested
    expected: dict[str, Expected]
    paths: dict[str, str]

    def rows(self, name: str) -> tuple[Rows, Rows]:
        """Volumes and rejects of a trap's files."""
        folder = f"trap{list(self.expected).index(name)}"

        def own(table: str) -> Rows:
            return [
                row
                for row in self.ingested.rows(table)
                if folder in Path(self.paths[row["source_files"][0]]).parts
            ]

        return own("volumes"), own("quarantine")


def check(ingested: Ingested, expected: Expected, volumes: Rows, aside: Rows) -> None:
    found = [(ingested.image(row), np.reshape(row["affine_ras"], (4, 4))) for row in volumes]
    reasons: Counter[str] = Counter()
    for row in aside:
        reasons[f"{row['kind']}:{row['reason']}"] += len(row["source_files"])
        assert len(row["detail"]) > 20
    assert reasons == expected.aside
    assert unmatched(found, expected.volumes) == ""


@pytest.fixture(scope="module")
def archive(
    make_ingested: Callable[[Path], Ingested], tmp_path_factory: pytest.TempPathFactory
) -> Archive:
    """All traps in one archive, each a study of a patient of its own in a folder of its own."""
    folder = tmp_path_factory.mktemp("archive")
    expected = {}
    for number, name in enumerate(name for name in TRAPS if name not in ALONE):
        expected[name] = TRAPS[name].build(folder / "in" / f"trap{number}")
        apart(folder / "in" / f"trap{number}", number)
    ingested = make_ingested(folder)
    ingested.dicom(folder / "in")
    tokens = [row["token"] for row in ingested.rows("inputs")]
    paths = ingested.context.vault.file_paths(tokens)
    return Archive(ingested, expected, paths)


def apart(folder: Path, number: int) -> None:
    """Give files the UIDs and the patient of a study of its own, of the same length."""
    study, patient = f"1.2.{number + 100}", f"PAT-1{number:03}"
    assert (len(study), len(patient)) == (len(PLAIN.study_uid), len(PLAIN.patient_id))
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes().replace(PLAIN.study_uid.encode(), study.encode())
            path.write_bytes(content.replace(PLAIN.patient_id.encode(), patient.encode()))


@pytest.mark.parametrize("name", [name for name in TRAPS if name not in ALONE])
def test_trap(archive: Archive, name: str):
    check(archive.ingested, archive.expected[name], *archive.rows(name))


def test_every_file_of_the_archive_has_one_place(archive: Archive):
    archive.ingested.check_conserved()


def test_there_are_traps_of_many_kinds():
    assert len(TRAPS) >= 100


@pytest.mark.parametrize("name", ["gantry tilt +20", "gantry tilt -15 by positions"])
def test_a_tilted_gantry_is_recorded_or_refused(ingested: Ingested, tmp_path: Path, name: str):
    TRAPS[name].build(tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["tilt_degrees"] == (20.0 if "20" in name else 15.0)
    ingested.config = IngestConfig(tilt="refuse")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:gantry_tilt": 12}


def test_what_was_set_to_air_is_recorded(ingested: Ingested, tmp_path: Path):
    for name in ("PixelPaddingValue -2000", "-3024 outside the field, not stated"):
        TRAPS[name].build(tmp_path / name)
        ingested.dicom(tmp_path / name)
        code = "padding_to_air" if name.startswith("Pixel") else "out_of_field_to_air"
        found = [row["adjustments"] for row in ingested.volumes()]
        assert [f"{code}={12 * 32}"] in found
