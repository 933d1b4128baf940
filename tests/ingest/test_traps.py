"""Every trap series ends as it should, voxel by voxel in patient coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import trap_spellings  # noqa: F401 - adds its own to TRAPS
from trap_series import TRAPS
from truth import unmatched

from fvlm_data.ingest.config import IngestConfig

if TYPE_CHECKING:
    from conftest import Ingested


@pytest.mark.parametrize("name", TRAPS)
def test_trap(ingested: Ingested, tmp_path: Path, name: str):
    expected = TRAPS[name].build(tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    volumes = [
        (ingested.image(row), np.reshape(row["affine_ras"], (4, 4))) for row in ingested.volumes()
    ]
    assert ingested.reasons() == expected.aside
    assert unmatched(volumes, expected.volumes) == ""
    ingested.check_conserved()
    for row in ingested.rows("quarantine"):
        assert len(row["detail"]) > 20


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
