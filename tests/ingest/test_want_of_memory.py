"""Want of memory while a header or pixels are read settles nothing, whoever swallowed it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from encoded import compress
from series import Series, write

from fvlm_data.ingest.dicom import decoders
from fvlm_data.ingest.discovery.file_kind import probe_dataset

if TYPE_CHECKING:
    from conftest import Ingested


class OfALibraryError(Exception):
    """What a library makes of it."""


def wordless(*arguments: Any, **options: Any) -> Any:
    raise MemoryError


def swallowed(*arguments: Any, **options: Any) -> Any:
    try:
        wordless()
    except MemoryError as error:
        raise OfALibraryError("something went wrong") from error


def pixels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decoders, "DECODERS", dict.fromkeys(decoders.DECODERS, wordless))


def headers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pydicom, "dcmread", swallowed)


@pytest.mark.parametrize("short_of", [pixels, headers])
def test_the_next_run_tries_again(
    short_of: Callable[[pytest.MonkeyPatch], None],
    ingested: Ingested,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    datasets = Series().datasets()
    for one in datasets:
        compress(one, "JPEG 2000 lossless")
    write(datasets, tmp_path / "in")
    with monkeypatch.context() as patch:
        short_of(patch)
        ingested.dicom(tmp_path / "in")
    assert set(ingested.reasons()) == {"fault:not_enough_memory"}
    assert ingested.volumes() == []
    ingested.dicom(tmp_path / "in")
    assert len(ingested.volumes()) == 1
    assert ingested.reasons() == {}


def test_a_header_of_a_server_is_looked_at_again():
    probed = probe_dataset("fingerprint", swallowed)
    assert probed.aside is not None
    assert (probed.aside.reason, probed.fingerprint) == ("not_enough_memory", "")
