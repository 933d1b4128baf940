"""Sections of the configuration whose models other packages own, found by name.

fvlm_data does not import fvlm_train, yet it checks its sections: each is listed with its module,
which is imported when a configuration holds the section. Other packages name theirs by entry points
of the group `fvlm_data.sections`; a foreign stage has a section of its own name, whose model its
entry brings.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from fvlm_data.errors import ConfigError
from fvlm_data.extensions import installed
from fvlm_data.run.registry import STAGES

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "fvlm_data.sections"

OWN = {
    "train": "fvlm_train.config:TrainConfig",
    "evaluate": "fvlm_train.config:EvaluateConfig",
}
"""As in pyproject.toml; repeated here because an older install's entry points may lack them."""

log = logging.getLogger(__name__)


def section_models() -> dict[str, type[BaseModel]]:
    """The model of every section that another package owns, by name.

    One of a foreign package that does not load is logged by name and left out.

    Raises:
        ConfigError: a section of ours does not load, or two packages name one section.
    """
    models = {name: section_model(name) for name in OWN}
    for name in foreign_sections():
        try:
            models[name] = section_model(name)
        except ConfigError as error:
            log.warning("%s; left out", error)
    return models


def foreign_sections() -> tuple[str, ...]:
    """Names of the sections that other packages bring; none of them is imported."""
    stages = {offer.name for offer in STAGES.offers() if offer.foreign}
    return tuple(sorted({entry.name for entry in declared_sections()} - OWN.keys() | stages))


class NoSettings(BaseModel):
    """The section of a stage without settings: its mere presence makes the stage run."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def section_model(name: str) -> type[BaseModel]:
    """The model of one section; its package is imported now.

    Raises:
        ConfigError: no package owns the section, two do, or its owner does not load.
    """
    # a stage's own model, unless its package names the section by an entry point as well
    if name in STAGES.names() and name not in {entry.name for entry in declared_sections()}:
        model = STAGES.load(name).section or NoSettings
        return _model(name, model, "what its stage brings")
    value = _owner(name)
    module, _, attribute = value.partition(":")
    try:
        model = getattr(import_module(module), attribute)
    except Exception as error:  # the import of a foreign package may raise anything
        raise ConfigError(
            f"section {name}: {value}, which owns it, does not load here "
            f"({type(error).__name__}); install its package anew, or take the section out"
        ) from error
    return _model(name, model, value)


def _model(name: str, model: Any, told_by: str) -> type[BaseModel]:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigError(
            f"section {name}: {told_by} is no pydantic model, expected the section's; mend the "
            "package that names it"
        )
    return model


@cache
def declared_sections() -> tuple[EntryPoint, ...]:
    """Entry points of sections."""
    return tuple(installed().select(group=GROUP))


def model_below(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The model of what stands below a key of `model`; None for a plain value."""
    field = model.model_fields.get(key)
    if field is None:
        return None
    return section_model(key) if _CHECKED in field.metadata else _model_in(field.annotation)


def _owner(name: str) -> str:
    entries = {entry.value: entry for entry in declared_sections() if entry.name == name}
    values = {OWN[name], *entries} if name in OWN else set(entries)
    if len(values) > 1:
        packages = ", ".join(sorted(_package(entry) for entry in entries.values()))
        raise ConfigError(
            f"section {name}: {' and '.join(sorted(values))} both own it (named by {packages}), "
            "expected one; remove one of the packages"
        )
    if not values:
        raise ConfigError(
            f"section {name}: no installed package owns it; install the one that does, or take "
            "the section out"
        )
    return values.pop()


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown package"


def _checked(given: Any, info: ValidationInfo) -> Any:
    """Refuse what the section's model refuses; places of faults begin with the section."""
    name = info.field_name or ""
    if given or (given is not None and name not in OWN):
        section_model(name).model_validate(given)
    return given


_CHECKED = AfterValidator(_checked)

OwnedSection = Annotated[
    dict[str, Any],
    BeforeValidator(lambda given: {} if given is None else given),
    _CHECKED,
]
"""A section as it was given, checked by its owner's model. It is kept as given, so that its values
still take precedence over a preset that a later command names. An empty section is not checked:
those who never train need not say how."""

ForeignSection = Annotated[dict[str, Any] | None, _CHECKED]
"""A section of a package that may not be installed elsewhere; None: its stage does not run."""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
