from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from fvlm_data.errors import ConfigError
from fvlm_data.run.config import (
    PRESETS,
    Config,
    DaskConfig,
    ExecutionConfig,
    load_config,
    read_preset,
)
from fvlm_data.run.sections import model_below, section_model
from fvlm_data.settings import is_path

PINNED = Path(__file__).parent / "config_keys.txt"


def fields(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a model and of those below it, as (place, field)."""
    for name, field in model.model_fields.items():
        here = f"{place}{name}"
        yield here, field
        below = model_below(model, name)
        if below is not None:
            many = below in get_args(field.annotation)
            yield from fields(below, f"{here}[]." if many else f"{here}.")


def written(tmp_path: Path, values: Any) -> Path:
    file = tmp_path / "conf" / "config.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return file


def test_keys_are_pinned():
    """A key that goes or changes its name breaks the users' files: say so in the change note."""
    found = "".join(f"{place}\n" for place, _ in fields(Config))
    assert found == PINNED.read_text(encoding="ascii")


@pytest.mark.parametrize(("place", "field"), list(fields(Config)), ids=lambda v: str(v)[:40])
def test_every_key_has_a_description(place: str, field: Any):
    assert field.description, place
    assert len(field.description) > 5


def test_every_section_is_closed_and_frozen():
    seen: list[type[BaseModel]] = [Config]
    for model in seen:
        below = [model_below(model, name) for name in model.model_fields]
        seen += [one for one in below if one is not None and one not in seen]
    assert {"TextEncoderConfig", "EvaluateConfig", "LlmConfig"} <= {one.__name__ for one in seen}
    for model in seen:
        assert model.model_config.get("extra") == "forbid", model
        assert model.model_config.get("frozen"), model


def test_later_places_win(tmp_path: Path):
    shard = read_preset("abdomen")["shard"]
    assert load_config(None, (), {"store": "s", "preset": "abdomen"}).shard.spacing_mm == tuple(
        shard["spacing_mm"]
    )
    file = written(
        tmp_path,
        {"preset": "abdomen", "store": "s", "shard": {"hu_window": [0, 1], "slab_z": 2}},
    )
    resolved = load_config(file, ["shard.slab_z=4"], {"shard": {"slab_z": 3, "margin_slices": 9}})
    assert resolved.shard.anatomies == tuple(shard["anatomies"])
    assert resolved.shard.hu_window == (0, 1)
    assert resolved.shard.margin_slices == 9
    assert resolved.shard.slab_z == 4


def test_preset_of_the_command_line_stays_below_the_file(tmp_path: Path):
    file = written(tmp_path, {"store": "s", "shard": {"hu_window": [0, 1]}})
    resolved = load_config(file, ["preset=chest"])
    assert resolved.shard.hu_window == (0, 1)
    assert resolved.shard.anatomies == tuple(read_preset("chest")["shard"]["anatomies"])


def test_everything_lies_over_the_last_run(tmp_path: Path):
    """A resolved configuration holds every key: a preset given now must not hide below it."""
    last = load_config(None, ["shard.slab_z=4"], {"store": "s", "preset": "abdomen"})
    resolved = load_config(None, ["preset=chest"], {"store": "s"}, last.model_dump(mode="json"))
    assert resolved.preset == "chest"
    assert resolved.shard.anatomies == tuple(read_preset("chest")["shard"]["anatomies"])
    assert resolved.shard.slab_z == 4


@pytest.mark.parametrize("name", PRESETS)
def test_presets_resolve(name: str):
    assert load_config(None, (), {"store": "s", "preset": name}).preset == name


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"stroe": "x"},
            "stroe is not a known key (did you mean store?); see docs/configuration.md",
        ),
        ({"shard": {"slab": 1}}, "shard.slab is not a known key"),
        ({"sources": [{"kind": "dicom", "path": "x", "pth": "y"}]}, "sources.0.pth is not a known"),
        ({"shard": {"slab_z": 0}}, "shard.slab_z: Input should be greater than or equal to 1"),
        ({"shard": {"slab_z": "SECRET"}}, "shard.slab_z: Input should be a valid integer"),
        ({"shard": "SECRET"}, "shard: Input should be a valid dictionary"),
        ({"sources": "SECRET"}, "sources: Input should be a valid tuple"),
        ({"sources": 5}, "sources: Input should be a valid tuple"),
        (
            {"sources": [{"kind": "SECRET", "path": "x"}]},
            "sources.0.kind: this source kind is not known; expected one of dicom, dicomweb,",
        ),
        (
            {"sources": [{"kind": "dicomm", "path": "x"}]},
            "sources.0.kind: this source kind is not known (did you mean dicom?); expected one of",
        ),
        (
            {"reports": [{"kind": "parkett", "path": "x"}]},
            "reports.0.kind: this kind of reports is not known (did you mean parquet?); expected",
        ),
        (
            {"segment": {"backend": "treshold"}},
            "segment.backend: this segmentation backend is not known (did you mean threshold?)",
        ),
        ({"sources": [{"kind": "dicom"}]}, "sources.0: kind dicom needs `path`"),
        ({"identity": {"vault": ["SECRET"]}}, "identity.vault: "),
        ({"pair": {"split": {"train": 0.5}}}, "pair.split: train, validation and test sum to 0.7"),
        ({"pair": {"template": "SECRET"}}, "pair: template must hold {anatomy}"),
        ({"execution": {"workers": 0}}, "execution.workers: Input should be greater than"),
        ({"shard": {"hu_window": [5, 5]}}, "shard: hu_window"),
        (
            {"train": {"batchsize": 3}},
            "train.batchsize is not a known key (did you mean batch_size?)",
        ),
        (
            {"train": {"model": {"image": {"wdith": 8}}}},
            "train.model.image.wdith is not a known key (did you mean width?)",
        ),
        ({"train": {"batch_size": "SECRET"}}, "train.batch_size: Input should be a valid integer"),
        ({"train": {"window_hu": [9, 1]}}, "train: window_hu [9.0, 1.0] is empty"),
        ({"train": "SECRET"}, "train: Input should be a valid dictionary"),
        ({"evaluate": {"window": None}}, "evaluate.window is not a known key (did you mean win"),
        (
            {"slab_z": 2},
            "slab_z is not a known key (did you mean shard.slab_z?); see docs/configuration.md",
        ),
        ({"pair": {"batch_size": 2}}, "pair.batch_size is not a known key; see docs"),
    ],
)
def test_fault_is_one_sentence_with_its_place(tmp_path: Path, values: Any, told: str):
    file = written(tmp_path, {"store": "s", **values})
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    sentence = str(caught.value)
    assert sentence.startswith(f"configuration {file}: {told}")
    assert "\n" not in sentence
    assert "SECRET" not in sentence


def test_store_is_needed():
    with pytest.raises(ConfigError, match="configuration: store is missing"):
        load_config()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("store: [", "no valid YAML in line 1"),
        ("a: b: SECRET", "no valid YAML in line 1"),
        ("- store", "expected a mapping of sections"),
        ("store", "expected a mapping of sections"),
        ("store: SECRET\nstore: b", "store in line 2 stands twice"),
        ("reports: [{path: a}]\nqc:\n  enabled: true\n  enabled: false", "enabled in line 4"),
        ("store: 2020-13-45", r"cannot be read \(ValueError\)"),
        ("", "store is missing"),
    ],
)
def test_file_that_is_no_configuration(tmp_path: Path, text: str, told: str):
    with pytest.raises(ConfigError, match=told) as caught:
        load_config(written(tmp_path, text))
    assert "SECRET" not in str(caught.value)


def test_file_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(ConfigError, match="not found; `fvlm-data init FOLDER` writes one"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read \(IsADirectoryError\)"):
        load_config(tmp_path)
    file = written(tmp_path, "")
    file.write_bytes(b"store: M\xfcller")
    with pytest.raises(ConfigError, match=r"cannot be read \(UnicodeDecodeError\)"):
        load_config(file)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("shard.slab_z", r"--set shard.slab_z: expected section.key=value"),
        ("=SECRET", "--set : expected section.key=value"),
        ("shard..slab_z=SECRET", "--set shard..slab_z: expected section.key=value"),
        ("shard.slab_z=[SECRET", "--set shard.slab_z: the value is no valid YAML"),
        ("shard.nothing=SECRET", "shard.nothing is not a known key"),
        ("shard.slab_z=SECRET", "shard.slab_z: Input should be a valid integer"),
        ("preset=chset", "preset: 'chset' found, expected one of ct_rate, chest"),
        ("preset=[chest]", "expected one of ct_rate, chest"),
    ],
)
def test_bad_override(override: str, told: str):
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override], {"store": "s"})
    assert told in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_two_sources_of_one_name_are_refused_and_of_two_names_are_not(tmp_path: Path):
    one, other = ({"kind": "dicom", "path": str(tmp_path / name)} for name in ("a", "b"))
    values = {"store": "s", "sources": [one, other]}
    assert [source.label for source in load_config(None, (), values).sources] == ["a", "b"]
    values["sources"] = [one, {**other, "name": "a"}]
    with pytest.raises(ConfigError, match="two sources are named a: give one of them another"):
        load_config(None, (), values)


PATHS: dict[str, Any] = {
    "store": "store",
    "sources": [{"kind": "nifti", "path": "scans", "mapping": "map.csv"}],
    "reports": [{"path": "reports.csv"}],
    "identity": {"vault": "vault"},
    "segment": {
        "backend": "precomputed",
        "masks": "masks",
        "classes": "classes.yaml",
        "weights": "weights",
    },
    "clinical": {"sources": [{"path": "lab.csv"}]},
    "parse": {"corrections": "corrections.jsonl"},
    "pair": {"split_file": "splits.csv"},
    "train": {
        "preset": "small",
        "model": {"text": {"folder": "bert"}, "init_mae": "mae.pth", "init_reference": "fvlm.pth"},
        "reading": {"disk_cache": "cache"},
    },
    "execution": {"spill": "spill"},
    "monitoring": {"metrics": "fvlm.prom"},
}


def paths_of(config: Config) -> list[str]:
    source = config.sources[0]
    found = [config.store, source.path, source.mapping, config.reports[0].path]
    found += [config.identity.vault, config.segment.masks, config.segment.classes]
    assert config.clinical is not None
    found += [config.segment.weights, config.clinical.sources[0].path]
    found += [config.parse.corrections, config.pair.split_file]
    model, reading = config.train["model"], config.train["reading"]
    found += [model["text"]["folder"], model["init_mae"], model["init_reference"]]
    found += [reading["disk_cache"], config.execution.spill, config.monitoring.metrics]
    return [str(path) for path in found]


NAMES = ["store", "scans", "map.csv", "reports.csv", "vault"]
NAMES += ["masks", "classes.yaml", "weights", "lab.csv", "corrections.jsonl", "splits.csv"]
NAMES += ["bert", "mae.pth", "fvlm.pth", "cache", "spill", "fvlm.prom"]


def test_relative_paths_of_a_file_start_at_the_file(tmp_path: Path):
    file = written(tmp_path, PATHS)
    assert paths_of(load_config(file)) == [str(file.parent / name) for name in NAMES]


def test_relative_paths_of_the_command_line_start_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, {})
    assert paths_of(load_config(file, (), PATHS)) == [str(tmp_path / name) for name in NAMES]
    resolved = load_config(file, ["store=here", "pair.split_file=s.csv"])
    assert resolved.store == str(tmp_path / "here")
    assert resolved.pair.split_file == tmp_path / "s.csv"
    assert PATHS["identity"] == {"vault": "vault"}


def test_the_file_that_begins_an_image_encoder_starts_at_the_file_too(tmp_path: Path):
    """It goes with no other file that begins one."""
    file = written(tmp_path, {"store": "s", "train": {"model": {"init_image": "image.pth"}}})
    assert load_config(file).train["model"]["init_image"] == str(file.parent / "image.pth")


def test_every_path_in_the_configuration_is_made_absolute():
    """A new key that holds a path, by its type or by its mark, is tested above; name it here."""
    held = {place for place, field in fields(Config) if is_path(field, "x.yaml")}
    assert held == {
        "store",
        "sources[].path",
        "sources[].mapping",
        "reports[].path",
        "reports[].mapping",
        "identity.vault",
        "vocabulary.overlay",
        "segment.masks",
        "segment.classes",
        "segment.weights",
        "clinical[].sources[].path",
        "parse.corrections",
        "pair.split_file",
        "train.model.text.folder",
        "train.model.init_image",
        "train.model.init_mae",
        "train.model.init_reference",
        "train.reading.disk_cache",
        "execution.spill",
        "monitoring.metrics",
    }


def test_class_systems_are_no_paths(tmp_path: Path):
    segment = {"backend": "precomputed", "masks": "masks", "classes": "totalsegmentator_v2"}
    file = written(tmp_path, {"store": "s", "segment": segment})
    assert load_config(file).segment.classes == "totalsegmentator_v2"


def test_sections_of_the_trainer_stay_as_given_and_may_be_empty(tmp_path: Path):
    file = written(tmp_path, "store: s\ntrain:\nevaluate: {preset: small}\n")
    resolved = load_config(file, ["evaluate.seed=3"])
    assert resolved.train == {}
    assert resolved.evaluate == {"preset": "small", "seed": 3}


def test_what_only_the_machine_that_trains_knows_may_be_missing():
    assert load_config(None, ["train.preset=reference"], {"store": "s"}).train == {
        "preset": "reference"
    }


def test_a_preset_of_the_trainer_given_later_lies_below_what_the_last_run_had():
    last = load_config(None, ["train.batch_size=5"], {"store": "s"}).model_dump(mode="json")
    resolved = load_config(None, ["train.preset=small"], {"store": "s"}, last)
    train = section_model("train").model_validate(resolved.train).model_dump()
    assert train["batch_size"] == 5
    assert train["steps"] == section_model("train")(preset="small").model_dump()["steps"] == 600


def test_urls_and_absolute_paths_stay_as_they_are(tmp_path: Path):
    file = written(tmp_path, {"store": "s3://bucket/store", "pair": {"split_file": "/a/s.csv"}})
    resolved = load_config(file)
    assert resolved.store == "s3://bucket/store"
    assert str(resolved.pair.split_file) == "/a/s.csv"


def test_resolved_configuration_comes_back_from_yaml(tmp_path: Path):
    resolved = load_config(written(tmp_path, PATHS), ["preset=whole_body"])
    stored = yaml.safe_dump(resolved.model_dump(mode="json"))
    assert load_config(None, (), yaml.safe_load(stored)) == resolved


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    threads = [ExecutionConfig(workers=workers).threads() for workers in (1, 2, 3, 8, 9)]
    assert threads == [8, 4, 2, 1, 1]
    elsewhere = DaskConfig(address="tcp://host:8786")
    assert ExecutionConfig(dask=elsewhere).threads() == 1
