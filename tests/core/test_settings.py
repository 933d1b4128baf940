"""What of each section decides results; pinned, since the keys of all items hang on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.selection import SelectConfig
from fvlm_data.pairing.config import PairConfig
from fvlm_data.reports.config import ParseConfig
from fvlm_data.run.config import Config, ExecutionConfig, load_config
from fvlm_data.run.sections import model_below
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.settings import decides_when, deciding
from fvlm_data.shards.config import ShardConfig

PARSE = {
    "max_sentence_chars": 1000,
    "carry_over": True,
    "uncertain_is_abnormal": True,
    "doubtful_names": "keep",
    "backend": "rules",
}
LLM = {"endpoint": "https://host/v1", "model": "m", "timeout_s": 3}


def test_all_of_ingest_select_and_shard_decides():
    for section in (IngestConfig(), SelectConfig(kernels=("B30",)), ShardConfig(slab_z=2)):
        # when a file is found and a series is taken says nothing of what becomes of it
        patience = {"settle_minutes", "full_listing_days"}
        assert deciding(section) == section.model_dump(mode="json", exclude=patience)


def test_of_segment_the_task_decides_and_what_its_backend_reads(tmp_path: Path):
    masks = {"backend": "precomputed", "masks": tmp_path, "classes": "totalsegmentator_v1"}
    sections: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"fast": True, "device": "cpu"}, {"backend": "threshold", "task": "threshold"}),
        (
            {"backend": "totalsegmentator", "fast": True, "weights": tmp_path, "batch_size": 2},
            {"backend": "totalsegmentator", "task": "total", "fast": True},
        ),
        (masks, {"backend": "precomputed", "task": "total", "grid_tolerance_voxels": 0.05}),
    ]
    for given, expected in sections:
        section = SegmentConfig(**given)
        assert deciding(section) == {**expected, "options": {}, "policy": {}}
        assert section.key_part() == expected


def test_of_parse_all_decides_but_memory_and_the_endpoint():
    rules, named = ParseConfig(memo_sentences=3), ParseConfig.model_validate({"llm": LLM})
    read = ParseConfig.model_validate({"backend": "llm", "llm": LLM})
    assert deciding(rules) == deciding(named) == PARSE
    assert deciding(read) == {**PARSE, "backend": "llm", "llm": {"model": "m"}}
    assert rules.key_settings() == named.key_settings() == {**PARSE, "model": None}
    assert read.key_settings() == {**PARSE, "backend": "llm", "model": "m"}


def test_of_pair_all_decides_but_the_path_of_the_split_file(tmp_path: Path):
    section = PairConfig(split_file=tmp_path)
    assert deciding(section) == section.model_dump(mode="json", exclude={"split_file"})


def test_places_and_speed_decide_nothing_in_the_whole_configuration():
    places = {"store": "s", "sources": [{"kind": "nifti", "path": "a", "mapping": "m.csv"}]}
    moved = {"store": "t", "sources": [{"kind": "nifti", "path": "b", "mapping": "n.csv"}]}
    slow = load_config(None, ["preset=chest"], places)
    fast = load_config(
        None,
        ["execution.workers=4", "execution.memory_mb=500", "execution.spill=x", "qc.enabled=false"],
        {**slow.model_dump(mode="json"), **moved, "preset": None, "identity": {"vault": "v"}},
    )
    assert deciding(slow) == deciding(fast)
    assert deciding(fast)["sources"] == [{"kind": "nifti", "query": {}, "name": ""}]
    assert slow.execution == ExecutionConfig()


def test_what_a_key_decides_with_is_a_key_beside_it():
    """A condition that names no key, or a value that it cannot have, would never hold."""
    conditions = 0
    models: list[type[BaseModel]] = [Config]
    for model in models:
        for name, field in model.model_fields.items():
            below = model_below(model, name)
            models += [below] if below is not None else []
            when = decides_when(field)
            for key, value in when.items() if isinstance(when, dict) else ():
                conditions += 1
                assert value in str(model.model_fields[key])
    assert conditions == 3
