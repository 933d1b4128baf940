"""Parameters: what Prefect's form offers and its server refuses."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from prefect.utilities.callables import parameter_schema

from fvlm_data.errors import ConfigError
from fvlm_data.run.config import Config
from fvlm_data.run.private_paths import PRIVATE
from pipelines.care import forget
from pipelines.curate import curate
from pipelines.form import NOT_OFFERED, configured, settings_schema

NIGHT = {"config": "curate.yaml"}
AN_ID = f"p_{'0' * 20}"


@cache
def validator(flow: Any) -> Draft202012Validator:
    schema = parameter_schema(flow).model_dump()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def refused(flow: Any, parameters: dict[str, Any]) -> bool:
    return not validator(flow).is_valid(parameters)


@pytest.mark.parametrize(
    "settings",
    [
        None,
        {},
        {"segment": {"batch_size": 3}},
        {"execution": {"workers": 2, "limits": {"segment": {"seconds": 60}}}},
    ],
)
def test_keys_of_the_configuration_are_taken(settings: Any):
    assert not refused(curate, {**NIGHT, "settings": settings})


@pytest.mark.parametrize(
    "settings",
    [
        {"segmnt": {}},
        {"segment": {"batchsize": 3}},
        {"segment": {"batch_size": "many"}},
        {"execution": {"workers": 0}},
        {"sources": [{"kind": "nifti", "path": "/archive/Doe_John"}]},
        {"segment": {"masks": "/archive/Doe_John"}},
        {"monitoring": {"webhook": "https://chat.example/secret"}},
    ],
)
def test_unknown_keys_impossible_values_and_places_are_refused_before_they_are_kept(settings: Any):
    assert refused(curate, {**NIGHT, "settings": settings})


@pytest.mark.parametrize(
    ("stages", "wrong"),
    [(None, False), (["reports", "pair"], False), (["radiomics"], False), (["pear"], True),
     ("pair", True)],
)  # fmt: skip
def test_only_stages_there_are_can_be_chosen(stages: Any, wrong: bool):
    assert refused(curate, {**NIGHT, "stages": stages}) is wrong


def test_every_section_is_offered_or_left_out_on_purpose():
    assert settings_schema()["properties"].keys() | NOT_OFFERED == Config.model_fields.keys()


def test_places_are_refused_by_the_flow_too(tmp_path: Path):
    file = tmp_path / "curate.yaml"
    file.write_text("store: store\n")
    for name in ("segment", "parse", "pair"):
        for key in PRIVATE[name]:
            with pytest.raises(ConfigError, match=f"settings.{name}: names places or secrets"):
                configured(str(file), {name: {key: "x"}})
    with pytest.raises(ConfigError, match=r"settings\.store"):
        configured(str(file), {"store": "elsewhere"})


def test_settings_lie_over_the_file(tmp_path: Path):
    file = tmp_path / "curate.yaml"
    file.write_text("store: store\nsegment: {batch_size: 2, fast: true}\n")
    config = configured(str(file), {"segment": {"batch_size": 5}})
    assert (config.segment.batch_size, config.segment.fast) == (5, True)
    assert config.store == str(tmp_path / "store")


@pytest.mark.parametrize(
    ("ids", "wrong"), [([AN_ID], False), (None, False), (["12345678"], True), (["DOE^JOHN"], True)]
)
def test_only_ids_of_the_store_are_parameters_of_forget(ids: Any, wrong: bool):
    assert refused(forget, {**NIGHT, "ids": ids}) is wrong
