from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fvlm_data.export import huggingface
from fvlm_data.shards import ShardDataset
from tests.export.exporting import exported


def loaded(folder: Path, cache: Path) -> Any:
    """The exported folder by the library, which must find splits and features by itself."""
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder), cache_dir=str(cache))


@pytest.mark.parametrize("at_once", [1, 2, 1024])
def test_datasets_reads_every_text(
    store: str, tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(huggingface, "SAMPLES_AT_ONCE", at_once)
    found = loaded(exported("huggingface", tmp_path / "out", store), tmp_path / "cache")
    assert list(found) == ["train", "validation", "test"]
    for split, rows in found.items():
        expected = [
            {
                "sample_id": sample["sample_id"],
                "patient_id": sample["patient_id"],
                "study_id": sample["study_id"],
                "volume_id": sample["volume_id"],
                "anatomy": anatomy,
                "text": sample["texts"][place],
                "state": sample["states"][place],
                "signature": sample["signatures"][place],
                "findings": sample["findings"][place],
                "labels": sample["labels"][place],
                "apart": [],
            }
            for sample in ShardDataset(store, split).rows.to_pylist()
            for place, anatomy in enumerate(sample["anatomies"])
        ]
        assert len(expected) > len(ShardDataset(store, split))
        assert rows.to_list() == expected


def test_features(store: str, tmp_path: Path):
    import datasets

    found = loaded(exported("huggingface", tmp_path / "out", store), tmp_path / "cache")
    text = datasets.Value("string")
    names = ("sample_id", "patient_id", "study_id", "volume_id", "anatomy", "text", "state")
    assert found["train"].features == datasets.Features(
        {
            **dict.fromkeys(names, text),
            "signature": datasets.Value("int64"),
            "findings": datasets.List(text),
            "labels": datasets.List(text),
            "apart": datasets.List(text),
        }
    )


def test_one_split_alone(store: str, tmp_path: Path):
    folder = exported("huggingface", tmp_path / "out", store, "--split", "test")
    assert list(loaded(folder, tmp_path / "cache")) == ["test"]
    assert [path.name for path in (folder / "data").iterdir()] == ["test-00000-of-00001.parquet"]
