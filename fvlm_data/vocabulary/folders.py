"""Where the files of vocabularies lie: in this package by language, and in a user's folder."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary.overlay import meant

if TYPE_CHECKING:
    from pathlib import Path

CLASSES, LABELS = "segmentation.yaml", "label_sets.yaml"
BESIDE = (CLASSES, LABELS)
"""Files without words of any language; they lie next to the languages' folders."""

NAMES = (
    "anatomies.yaml", "cues.yaml", "findings.yaml", "grammar.yaml", "identities.yaml",
    "lists.yaml", "pairing.yaml", "sections.yaml", "versions.yaml",
)  # fmt: skip


OPTIONAL = ("questions.yaml", "references.yaml", "regions.yaml")
"""Files that a language may lack; no stage reads them."""


def languages() -> tuple[str, ...]:
    """Languages that are built in, sorted."""
    folders = resources.files("fvlm_data.vocabulary").iterdir()
    return tuple(sorted(f.name for f in folders if f.joinpath(NAMES[0]).is_file()))


def built_in_texts(language: str) -> dict[str, str]:
    """The built-in files by name; of a language that is not built in only those beside."""
    root = resources.files("fvlm_data.vocabulary")
    places = {name: root.joinpath(name) for name in BESIDE}
    if language in languages():
        places.update({name: root.joinpath(language, name) for name in NAMES})
        beside = {name: root.joinpath(language, name) for name in OPTIONAL}
        places.update({name: place for name, place in beside.items() if place.is_file()})
    return {name: place.read_text(encoding="utf-8") for name, place in places.items()}


def overlay_texts(folder: Path | None) -> tuple[tuple[str, str], ...]:
    """(name, text) of each YAML file of a user's folder, sorted; none without a folder.

    Raises:
        ConfigError: the folder is missing, or a file is not UTF-8 or none of a vocabulary.
    """
    if folder is None:
        return ()
    if not folder.is_dir():
        raise ConfigError(
            f"vocabulary overlay {folder}: no such folder; name the one that holds your "
            "anatomies.yaml, findings.yaml, ... by vocabulary.overlay"
        )
    made = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".yaml", ".yml"):
            continue
        known = (*NAMES, *OPTIONAL, *BESIDE)
        if path.name not in known:
            raise ConfigError(
                f"vocabulary overlay {path.name}: no file of a vocabulary"
                f"{meant(path.name, known)}; expected {', '.join(known)}"
            )
        try:
            made.append((path.name, path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"vocabulary overlay {path.name}: cannot be read ({type(error).__name__}); "
                "expected a text file in UTF-8"
            ) from None
    return tuple(made)
