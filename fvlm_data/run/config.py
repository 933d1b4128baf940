"""The configuration: one YAML, assembled from the sections that each part owns."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from fvlm_data.clinical.config import ClinicalConfig
from fvlm_data.errors import ConfigError
from fvlm_data.identity.forgotten import ForgetConfig
from fvlm_data.identity.ids import IdentityConfig
from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.selection import SelectConfig
from fvlm_data.isolation.limits import Limits
from fvlm_data.monitoring.config import MonitoringConfig
from fvlm_data.pairing.config import PairConfig
from fvlm_data.qc.config import QcConfig
from fvlm_data.radiomics.config import RadiomicsConfig
from fvlm_data.reports.config import ParseConfig
from fvlm_data.reports.sources.config import ReportSourceConfig
from fvlm_data.run.faults import fault_sentence
from fvlm_data.run.layers import anchored, merged, preset_values, read_file, read_override
from fvlm_data.run.sections import ForeignSection, OwnedSection, foreign_sections
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.settings import DECIDES_NOTHING, PLACE
from fvlm_data.shards.config import ShardConfig
from fvlm_data.shards.unlabelled.config import UnlabelledConfig
from fvlm_data.vocabulary.config import VocabularyConfig
from fvlm_data.vocabulary.files import built_in_classes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PRESETS = ("ct_rate", "chest", "abdomen", "whole_body", "reference")


class DaskConfig(BaseModel):
    """Where Dask work goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str | None = Field(
        default=None, description="scheduler address; default: a cluster on this machine"
    )


class LimitConfig(BaseModel):
    """What a worker may take for one item of the stage; one that takes more is ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float | None = Field(
        default=None,
        gt=0,
        description="longest time until the next item is done; default: 3,600, of `segment` 7,200, "
        "of `discover` 600",
    )
    memory_mb: int | None = Field(
        default=None,
        ge=100,
        description="memory of a worker, MB; default: its share of nine tenths of the machine's",
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
    memory_mb: int = Field(
        default=2000,
        ge=100,
        description="memory of the engine that plans and reads tables, MB; what does not fit goes "
        "to `spill`",
    )
    spill: Path | None = Field(
        default=None,
        description="folder for what does not fit into memory_mb, best a fast local disk; "
        "default: a temporary folder",
    )

    limits: dict[str, LimitConfig] = Field(
        default_factory=dict,
        description="limits by stage, as {segment: {seconds: 3600, memory_mb: 16000}}; `discover`: "
        "those of reading headers",
    )
    batch_minutes: float | None = Field(
        default=None,
        gt=0,
        description="time that a batch is to take in a worker: a stage's first batches are "
        "measured, the rest cut to it, from one item to 16 times the stage's own size; shards keep "
        "theirs; default: the stage's own size, min",
    )
    pauses_s: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(10.0, 60.0, 300.0),
        description="pauses before a stage tries again where the machine lacks disk, memory or "
        "network, s; after the last the run stops",
    )
    keep_days: float = Field(
        default=7,
        ge=0,
        description="how long what is superseded is kept, for those who still read it: arrays of "
        "shards, volumes, masks, old versions of tables, drafts of killed runs, days",
    )
    run_limit_s: float | None = Field(
        default=None,
        gt=0,
        description="longest time of a flow's run, s: it then begins no batch, and fails; the next "
        "run goes on; default: none",
    )

    @property
    def keep_hours(self) -> float:
        """`keep_days` in hours."""
        return 24 * self.keep_days

    def limits_of(self, stage: str, seconds: float) -> Limits:
        """Limits of a worker of a stage, whose own limit of time is `seconds`."""
        given = self.limits.get(stage, LimitConfig())
        return Limits(given.seconds or seconds, given.memory_mb, self.workers)

    def threads(self) -> int:
        """Threads a worker may keep busy: its share of this machine's cores.

        One where Dask workers were started elsewhere: how many share a machine is not known.
        """
        if self.dask.address is not None:
            return 1
        if hasattr(os, "sched_getaffinity"):  # Linux: the cores that this process may use
            return max(1, len(os.sched_getaffinity(0)) // self.workers)
        return max(1, (os.cpu_count() or 1) // self.workers)


class Config(BaseModel):
    """The whole configuration, from sources to scores."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str | None = Field(
        default=None,
        description=f"named set of values to start from: {', '.join(PRESETS)}",
        json_schema_extra={**DECIDES_NOTHING, "examples": [*PRESETS]},
    )
    store: str = Field(
        description="folder or fsspec URL of the store; `--store` of a command wins",
        json_schema_extra=PLACE,
    )
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
    radiomics: RadiomicsConfig | None = Field(
        default=None,
        description="features of anatomies and lesions, off by default; {} has them made",
    )
    clinical: ClinicalConfig | None = Field(
        default=None, description="values about patients that are no images, off by default"
    )
    parse: ParseConfig = Field(default=ParseConfig(), description="from reports to sentences")
    pair: PairConfig = Field(default=PairConfig(), description="texts and states of anatomies")
    shard: ShardConfig = Field(default=ShardConfig(), description="training arrays")
    unlabelled: UnlabelledConfig | None = Field(
        default=None,
        description="samples of volumes without reports or masks, off by default; {} has them made",
    )
    qc: QcConfig = Field(
        default=QcConfig(),
        description="pages that show the store",
        json_schema_extra=DECIDES_NOTHING,
    )
    forget: ForgetConfig = Field(
        default=ForgetConfig(),
        description="patients and studies that were forgotten",
        json_schema_extra=DECIDES_NOTHING,
    )
    train: OwnedSection = Field(default_factory=dict, description="training, by fvlm-train")
    evaluate: OwnedSection = Field(default_factory=dict, description="scores, by fvlm-eval")
    execution: ExecutionConfig = Field(
        default=ExecutionConfig(), description="workers", json_schema_extra=DECIDES_NOTHING
    )
    monitoring: MonitoringConfig = Field(
        default=MonitoringConfig(),
        description="log, metrics and alarms",
        json_schema_extra=DECIDES_NOTHING,
    )

    @model_validator(mode="after")
    def _anatomies_are_known(self) -> Config:
        """With an overlay, stage `shard` checks: settings must be readable without the overlay."""
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


def config_model() -> type[Config]:
    """The configuration with a key for each section that another installed package owns."""
    return _with_sections(tuple(n for n in foreign_sections() if n not in Config.model_fields))


@cache
def _with_sections(names: tuple[str, ...]) -> type[Config]:
    if not names:
        return Config
    fields: dict[str, Any] = {
        name: (ForeignSection, Field(default=None, description="of an installed package"))
        for name in names
    }
    return create_model("Config", __base__=Config, __module__=__name__, **fields)


def written_config(written: Mapping[str, Any]) -> Config:
    """A configuration that a run of the store has recorded.

    Raises:
        ValidationError: this program, with the installed packages, cannot have written it.
    """
    return config_model().model_validate(_without_unused(written, written))


def _without_unused(values: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Drop sections that an earlier run recorded and that are not used now.

    They belong to packages that were installed then and may be gone now.
    """
    gone = written.keys() - Config.model_fields.keys()
    return {name: value for name, value in values.items() if value is not None or name not in gone}


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
    model = config_model()
    given = anchored(model, read_file(path), path.resolve().parent) if path else {}
    given = merged(given, values or {})
    for override in overrides:
        given = merged(given, read_override(override))
    # paths of the file are absolute by now; what is still relative comes from the command line
    given = anchored(model, given, Path.cwd())
    preset = given.get("preset")
    if preset is not None:
        given = merged(read_preset(preset), given)
    given = _without_unused(merged(_still_holding(last or {}, given), given), last or {})
    try:
        return model.model_validate(given)
    except ValidationError as error:
        # `from None`: pydantic's own message quotes values, which may be private
        raise ConfigError(fault_sentence(error, model, _where(path, last))) from None


def read_preset(name: Any) -> dict[str, Any]:
    """Values of a preset.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: {name!r} found, expected one of {', '.join(PRESETS)}")
    return preset_values("fvlm_data.run", name)


def _where(path: Path | None, last: Mapping[str, Any] | None) -> str:
    if path:
        return f"configuration {path}"
    return "configuration (of the store's last run, and as given)" if last else "configuration"


def _still_holding(last: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The last configuration, without task and options if those were of another backend."""
    before, now = dict(last.get("segment") or {}), given.get("segment")
    if isinstance(now, dict) and now.get("backend") not in (None, before.get("backend")):
        before.pop("task", None)
        before.pop("options", None)
    return {**last, "segment": before}
