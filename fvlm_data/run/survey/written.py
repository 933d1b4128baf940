"""A commented configuration, written from what a look at a folder found."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel

from fvlm_data.run.config import PRESETS, Config
from fvlm_data.run.sections import model_below
from fvlm_data.segment.config import LIBRARY_SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.run.survey.found import FoundMasks, FoundReports, FoundSource, Survey

WIDTH = 100

OFTEN_CHANGED: Mapping[str, Mapping[str, Any]] = {
    "identity": {"vault": "vault", "source_names": None},
    "select": {"policy": "thinnest_soft_tissue_axial"},
    "pair": {"normal": None, "split": None, "split_file": "splits.csv"},
    "shard": {"anatomies": None, "spacing_mm": None, "hu_window": None, "dtype": None},
    "train": {"preset": "small", "batch_size": None, "epochs": None},
    "evaluate": {"preset": "small"},
    "execution": {"workers": 8, "memory_mb": None, "spill": "spill"},
}
"""Keys that are written as comments, with a value to start from; None: the default."""

SET = {"train": ("preset",), "evaluate": ("preset",)}
"""Keys of these that are no comments: without them a training would ask for weights first."""

PRESET_OF = {"ct_rate": "ct_rate", "rad_chestct": "chest"}


def configuration_text(survey: Survey, file: Path) -> str:
    """The YAML of a configuration that is to lie at `file`.

    Paths below the file's folder are written relative to it, so that both move together.
    """
    folder = file.resolve().parent
    kinds = {source.kind for source in survey.sources}
    preset = next((name for kind, name in PRESET_OF.items() if kinds == {kind}), None)
    parts = [
        _head(survey),
        _comment(f"Values to start from, one of {', '.join(PRESETS)}; what stands here wins."),
        f"preset: {preset}" if preset else "# preset: chest",
        "",
        *_described("store", f"store: {_yaml(_store(survey, folder))}"),
        "",
        *_list("sources", "Where images come from.", _sources(survey, folder)),
        *_list("reports", "Where reports come from.", _reports(survey, folder)),
        *_language(survey),
        *_segment(survey.masks, folder),
    ]
    for section, keys in OFTEN_CHANGED.items():
        parts += _commented(section, keys)
    return "\n".join(parts).rstrip() + "\n"


def _head(survey: Survey) -> str:
    notes = [_comment(f"Look at this: {note}") for note in survey.notes]
    seen = "all that lies" if survey.complete else "a part of what lies"
    return "\n".join(
        [
            _comment(
                f"Written by `fvlm-data init` from {seen} in {survey.folder}. Commented keys show "
                "what is often changed; docs/configuration.md has every key. Relative paths begin "
                "at this file's folder."
            ),
            *notes,
            "",
        ]
    )


def _sources(survey: Survey, folder: Path) -> Iterator[dict[str, Any]]:
    names = _labels(survey)
    for source in survey.sources:
        place = {"url": source.url} if source.url else {"path": _shown(source.path, folder)}
        entry: dict[str, Any] = {"kind": source.kind, **place}
        if source.mapping is not None:
            entry["mapping"] = _shown(source.mapping, folder)
        yield entry | _name(source, names, survey)


def _reports(survey: Survey, folder: Path) -> Iterator[dict[str, Any]]:
    names = _labels(survey)
    for one in survey.reports:
        entry: dict[str, Any] = {"kind": one.kind, "path": _shown(one.path, folder)}
        if one.columns:
            entry["columns"] = dict(one.columns)
        if one.mapping is not None:
            entry["mapping"] = _shown(one.mapping, folder)
        yield entry | _name(one, names, survey)


def _labels(survey: Survey) -> list[str]:
    images = [source.path.name for source in survey.sources]
    return images + [one.path.name for one in survey.reports]


def _name(one: FoundSource | FoundReports, labels: list[str], survey: Survey) -> dict[str, str]:
    """A distinct name if another source would have the same one."""
    if labels.count(one.path.name) < 2:
        return {}
    parts = one.path.relative_to(survey.folder).parts or (one.path.name,)
    return {"name": "-".join((*parts, one.kind))}


def _language(survey: Survey) -> list[str]:
    """The languages of reports, where they are not the default's alone."""
    most, *others = survey.languages
    if not others and most == Config.model_fields["vocabulary"].get_default().language:
        return []
    told = {"language": most, **({"languages": list(survey.languages)} if others else {})}
    return [
        _comment("The language of most reports; each is read by the words of its own."),
        *yaml.safe_dump({"vocabulary": told}, sort_keys=False).splitlines(),
        "",
    ]


def _list(section: str, told: str, entries: Iterator[dict[str, Any]]) -> list[str]:
    listed = list(entries)
    if not listed:
        return [_comment(f"{told} None were found."), f"# {section}: []", ""]
    text = yaml.safe_dump({section: listed}, sort_keys=False, allow_unicode=True, width=WIDTH)
    return [_comment(told), text]


def _segment(masks: FoundMasks | None, folder: Path) -> list[str]:
    if masks is None:
        return [
            _comment(
                "What makes the label maps. No masks were found: threshold finds a few anatomies "
                "by HU, to try the rest; totalsegmentator needs its package and weights; "
                "precomputed takes masks that you have."
            ),
            "segment:\n  backend: threshold\n",
        ]
    section = {
        "backend": "precomputed",
        "masks": _shown(masks.path, folder),
        "classes": _shown(masks.classes, folder)
        if isinstance(masks.classes, Path)
        else masks.classes or LIBRARY_SYSTEMS[-1],
    }
    text = yaml.safe_dump({"segment": section}, sort_keys=False, allow_unicode=True, width=WIDTH)
    if masks.classes is not None:
        return [_comment(f"What makes the label maps; `classes` by {masks.told_by}."), text]
    return [
        _comment(
            "Masks were found, and nothing in them says what their values mean. The wrong classes "
            f"would exchange organs: set `classes` to {', '.join(LIBRARY_SYSTEMS)} or a YAML file "
            "(docs/segmentation.md), and take the # away. Until then threshold finds a few "
            "anatomies by HU."
        ),
        textwrap.indent(text, "# "),
    ]


def _commented(section: str, keys: Mapping[str, Any]) -> list[str]:
    """A section as a comment but for what is `SET`, each key with its meaning."""
    model = model_below(Config, section)
    if model is None:
        raise ValueError(f"{section} is no section")
    live = SET.get(section, ())
    lines = [*_described(section, f"{section}:" if live else f"# {section}:")]
    for key, value in keys.items():
        field = model.model_fields[key]
        shown = value if value is not None else field.get_default(call_default_factory=True)
        plain = shown.model_dump(mode="json") if isinstance(shown, BaseModel) else shown
        example = f"{key}: {_yaml(plain)}"
        before = "  " if key in live else "#   "
        lines += [
            _comment(field.description or "", f"{before}# "),
            textwrap.indent(example, before),
        ]
    return [*lines, ""]


def _described(key: str, line: str) -> list[str]:
    return [_comment(Config.model_fields[key].description or ""), line]


def _comment(text: str, mark: str = "# ") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=mark,
        subsequent_indent=mark,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _yaml(value: Any) -> str:
    """A value as written after its key; a long list is wrapped."""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(
        plain, allow_unicode=True, width=WIDTH - 32, sort_keys=False, default_flow_style=True
    )
    # PyYAML ends a bare scalar with the end-of-document mark
    return text.removesuffix("...\n").rstrip()


def _store(survey: Survey, folder: Path) -> str:
    """A place for the store outside all sources, which would take its files in as new ones."""
    paths = [source.path for source in survey.sources] + [one.path for one in survey.reports]
    around = [path for path in paths if folder.is_relative_to(path)]
    if not around:
        return "store"
    top = min(around, key=lambda path: len(path.parts))
    return str(top.parent / f"{top.name}-store")


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
