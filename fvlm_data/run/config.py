"""The configuration: one YAML, assembled from the sections that each part owns."""

from __future__ import annotations

import os
from copy import deepcopy
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fvlm_data.errors import ConfigError
from fvlm_data.identity.ids import IdentityConfig
from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.selection import SelectConfig
from fvlm_data.pairing.config import PairConfig
from fvlm_data.reports.config import ParseConfig
from fvlm_data.reports.sources.config import ReportSourceConfig
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.shards.config import ShardConfig
from fvlm_data.vocabulary.config import VocabularyConfig
from fvlm_data.vocabulary.files import built_in_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PRESETS = ("ct_rate", "chest", "abdomen", "whole_body", "reference")


class DaskConfig(BaseModel):
    """Where Dask work goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str | None = Field(
        default=None, description="scheduler address; default: a cluster on this machine"
    )


class ExecutionConfig(BaseModel):
    """How work is spread; never part of an item's key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(
        default=1, ge=1, description="processes on this machine, which share its cores"
    )
    dask: DaskConfig = Field(default=DaskConfig(), description="Dask, used by the Prefect flow")
    resources: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="Dask resources that a stage needs, as {segment: {GPU: 1}}",
    )

    def threads(self) -> int:
        """Threads a worker may keep busy: its share of this machine's cores.

        One where Dask workers were started elsewhere: how many share a machine is not known.
        """
        if self.dask.address is not None:
            return 1
        if hasattr(os, "sched_getaffinity"):  # Linux: the cores that this process may use
            return max(1, len(os.sched_getaffinity(0)) // self.workers)
        return max(1, (os.cpu_count() or 1) // self.workers)


class QcConfig(BaseModel):
    """Section `qc`: the page of figures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="write qc/index.html at the end of a run")


class Config(BaseModel):
    """The whole configuration; `train` and `evaluate` are checked by fvlm_train, their owner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str | None = Field(default=None, description="named set of values to start from")
    store: str = Field(description="folder or fsspec URL of the store")
    sources: tuple[SourceConfig, ...] = Field(default=(), description="where images come from")
    reports: tuple[ReportSourceConfig, ...] = Field(
        default=(), description="where reports come from"
    )
    identity: IdentityConfig = Field(default=IdentityConfig(), description="secrets and names")
    vocabulary: VocabularyConfig = Field(
        default=VocabularyConfig(), description="language of the reports, and words of your own"
    )
    ingest: IngestConfig = Field(default=IngestConfig(), description="from images to volumes")
    select: SelectConfig = Field(default=SelectConfig(), description="choice of reconstructions")
    segment: SegmentConfig = Field(default=SegmentConfig(), description="anatomies in volumes")
    parse: ParseConfig = Field(default=ParseConfig(), description="from reports to sentences")
    pair: PairConfig = Field(default=PairConfig(), description="texts and states of anatomies")
    shard: ShardConfig = Field(default=ShardConfig(), description="training arrays")
    qc: QcConfig = Field(default=QcConfig(), description="quality page")
    train: dict[str, Any] = Field(default_factory=dict, description="for fvlm-train")
    evaluate: dict[str, Any] = Field(default_factory=dict, description="for fvlm-eval")
    execution: ExecutionConfig = Field(default=ExecutionConfig(), description="workers")

    @model_validator(mode="after")
    def _anatomies_are_known(self) -> Config:
        """With an overlay, `check_inputs` looks: the store's settings must be read without it."""
        known = built_in_classes().anatomies
        unknown = sorted(set(self.shard.anatomies) - set(known))
        if unknown and self.vocabulary.overlay is None:
            raise ValueError(
                f"shard.anatomies holds {', '.join(unknown)}, which is not known; known are "
                f"{', '.join(known)}; an anatomy of your own stands in vocabulary.overlay"
            )
        return self

    @model_validator(mode="after")
    def _source_names_differ(self) -> Config:
        names = [source.label for source in self.sources]
        names += [source.label for source in self.reports]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"two sources are named {twice[0]}: give one of them another `name` (--name)"
            )
        return self


def load_config(
    path: Path | None = None,
    overrides: Iterable[str] = (),
    values: Mapping[str, Any] | None = None,
    last: Mapping[str, Any] | None = None,
) -> Config:
    """Resolve the configuration: `last`, the preset, the file, `values`, then `--set`.

    `last` is what an earlier run of the store resolved: all else lies over it.
    `overrides` are `section.key=value` with a YAML value. Relative paths of a file are taken
    from the file's folder, those of `values` and `overrides` from the working folder.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, or a value is impossible; the
            sentence names the place.
    """
    given = _read(path) if path else {}
    if path:
        _anchor_paths(given, path.resolve().parent)
    merged = _merged(given, values or {})
    for override in overrides:
        merged = _merged(merged, _parsed_override(override))
    merged = deepcopy(merged)
    _anchor_paths(merged, Path.cwd())
    preset = merged.get("preset")
    if preset is not None:
        merged = _merged(read_preset(preset), merged)
    merged = _merged(_still_holding(last or {}, merged), merged)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_sentence(error, path)) from None


def read_preset(name: Any) -> dict[str, Any]:
    """Values of a preset.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: {name!r} found, expected one of {', '.join(PRESETS)}")
    text = files("fvlm_data.run").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"configuration {path}: no valid YAML{line}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"configuration {path}: cannot be read ({type(error).__name__}); expected a YAML "
            "file in UTF-8"
        ) from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"configuration {path}: expected a mapping of sections")
    return loaded


def _anchor_paths(given: dict[str, Any], folder: Path) -> None:
    """Make relative paths absolute, from the folder of the configuration file."""

    def anchored(value: Any) -> Any:
        if not isinstance(value, str) or not value or "://" in value or Path(value).is_absolute():
            return value
        return str(folder / Path(value).expanduser())

    places = (("store",), ("identity", "vault"), ("vocabulary", "overlay"), ("pair", "split_file"))
    for place in places:
        _change(given, place, anchored)
    for section in ("sources", "reports"):
        entries = given.get(section)
        for source in entries if isinstance(entries, list | tuple) else ():
            _change(source, ("path",), anchored)
            _change(source, ("mapping",), anchored)
    _change(given, ("segment", "masks"), anchored)
    _change(given, ("segment", "weights"), anchored)
    classes = ("segment", "classes")
    _change(given, classes, lambda name: anchored(name) if _is_yaml(name) else name)


def _change(given: Any, place: tuple[str, ...], change: Callable[[Any], Any]) -> None:
    """Change the value at `place` of nested mappings, where there is one."""
    for name in place[:-1]:
        given = given.get(name) if isinstance(given, dict) else None
    if isinstance(given, dict) and given.get(place[-1]) is not None:
        given[place[-1]] = change(given[place[-1]])


def _is_yaml(name: Any) -> bool:
    return str(name).endswith((".yaml", ".yml"))


def _parsed_override(override: str) -> dict[str, Any]:
    name, separator, text = override.partition("=")
    if not separator or not all(name.split(".")):
        raise ConfigError(f"--set {name}: expected section.key=value")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {name}: the value is no valid YAML") from None
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[name] = _merged(before, value)
        else:
            merged[name] = value
    return merged


def _still_holding(last: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The last configuration, less the task's name where it was that of another backend."""
    before, now = dict(last.get("segment") or {}), given.get("segment")
    if isinstance(now, dict) and now.get("backend") not in (None, before.get("backend")):
        before.pop("task", None)
    return {**last, "segment": before}


def _sentence(error: ValidationError, path: Path | None) -> str:
    """The first fault in one sentence, with its place; the value itself may be private."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    # a mistyped key may be the one that another fault misses
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    place = ".".join(str(part) for part in first["loc"])
    where = f"configuration {path}" if path else "configuration"
    if first["type"] == "extra_forbidden":
        near = get_close_matches(str(first["loc"][-1]), _keys_beside(first["loc"]), 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        return f"{where}: {place} is not a known key{meant}; see docs/configuration.md"
    if first["type"] == "missing":
        return f"{where}: {place} is missing"
    told = first["msg"].removeprefix("Value error, ")
    return f"{where}: {place}: {told}" if place else f"{where}: {told}"


def _keys_beside(place: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where `place` names an unknown one."""
    model: Any = Config
    for name in place[:-1]:
        if isinstance(name, int):
            continue
        annotation = model.model_fields[name].annotation
        models = [m for m in (annotation, *get_args(annotation)) if hasattr(m, "model_fields")]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
