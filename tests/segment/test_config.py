from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fvlm_data.segment.config import SegmentConfig


def test_tasks_have_names_by_default():
    assert SegmentConfig().task == "threshold"
    assert SegmentConfig(backend="totalsegmentator").task == "total"
    assert SegmentConfig(backend="totalsegmentator", task="lung_vessels").task == "lung_vessels"


def test_precomputed_needs_masks_and_classes(tmp_path: Path):
    with pytest.raises(ValidationError, match="needs masks and classes"):
        SegmentConfig(backend="precomputed", masks=tmp_path)


@pytest.mark.parametrize("wrong", [{"device": "cuda"}, {"task": "a/b"}, {"colour": 1}])
def test_impossible_values_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        SegmentConfig(**wrong)


def test_paths_devices_and_batches_never_enter_keys(tmp_path: Path):
    one = SegmentConfig(backend="precomputed", masks=tmp_path / "a", classes="totalsegmentator_v1")
    two = SegmentConfig(
        backend="precomputed", masks=tmp_path / "b", classes="x.yaml", batch_size=2, device="cpu"
    )
    assert one.key_part() == two.key_part()
    slow, fast = (SegmentConfig(backend="totalsegmentator", fast=fast) for fast in (False, True))
    assert slow.key_part() != fast.key_part()


def test_every_field_is_described():
    assert all(field.description for field in SegmentConfig.model_fields.values())
