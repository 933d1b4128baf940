from __future__ import annotations

import errno
import resource
from pathlib import Path

import numpy as np
import pytest

from fvlm_data.shards.preprocess import PreparedSample
from fvlm_data.shards.writer import Spool


def sample(image: np.ndarray) -> PreparedSample:
    label = np.zeros(image.shape, np.uint8)
    return PreparedSample(image, label, np.eye(4), (1.0, 1.0, 1.0), {})


@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_laid_aside_comes_back(tmp_path: Path, order: str):
    image = np.array(np.arange(60, dtype=np.int16).reshape(3, 4, 5), order=order)
    laid = Spool(tmp_path).lay(sample(image))
    assert laid.shape_zyx == (3, 4, 5)
    assert np.array_equal(np.load(laid.image_path), image)


def test_a_full_disk_tells_its_number(tmp_path: Path):
    """By it the stage knows that the disk is at fault, and not the sample."""
    image = np.zeros((40, 64, 64), np.int16)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match=r".") as caught:
            Spool(tmp_path).lay(sample(image))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
