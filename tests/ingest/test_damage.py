"""Randomly damaged files: none stops a batch, each is accounted for."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from encoded import COMPRESSED, compress
from enhanced import enhanced
from pydicom.uid import RLELossless
from series import Series, write

if TYPE_CHECKING:
    from conftest import Ingested


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Cut off, with a piece missing, or with some bytes overwritten (of all, or of the header)."""
    kind = draw.randrange(4)
    changed = bytearray(content)
    if kind == 0:
        return content[: draw.randrange(len(content))]
    if kind == 1:
        start = draw.randrange(len(content))
        del changed[start : start + draw.randrange(200)]
        return bytes(changed)
    reach = len(content) if kind == 2 else min(len(content), 1500)
    for _ in range(draw.randrange(1, 16)):
        changed[draw.randrange(reach)] = draw.choice((0, 255, draw.randrange(256)))
    return bytes(changed)


@pytest.mark.parametrize("files", [150, pytest.param(2000, marks=pytest.mark.full)])
def test_damaged_files_stop_nothing_and_are_all_accounted_for(
    ingested: Ingested, tmp_path: Path, files: int, capfd: pytest.CaptureFixture[str]
):
    draw = random.Random(20)
    packed = Series(series_uid="1.2.3.8").datasets()
    for one in packed:
        one.compress(RLELossless, generate_instance_uid=False)
    jpeg = Series(series_uid="1.2.3.9").datasets()
    for number, one in enumerate(jpeg):
        compress(one, sorted(COMPRESSED)[number % len(COMPRESSED)])
    frames = [enhanced(Series(series_uid="1.2.3.10").datasets())]
    groups = (("a", Series().datasets()), ("b", packed), ("c", jpeg), ("d", frames))
    sound = [
        path.read_bytes() for name, datasets in groups for path in write(datasets, tmp_path / name)
    ]
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(files):
        (folder / f"{number}").write_bytes(damaged(draw.choice(sound), draw))
    ingested.dicom(folder)
    assert "fault:unexpected" not in ingested.reasons()
    assert len(ingested.rows("inputs")) == files
    ingested.check_conserved()
    assert "Mustermann" not in "".join(str(row) for row in ingested.rows("quarantine"))
    assert capfd.readouterr() == ("", "")
