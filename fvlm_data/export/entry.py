"""What an export is: the form of a copy, its options and what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fvlm_data.export.target import Draft


class NoOptions(BaseModel):
    """An export without options of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One export; the command `fvlm-data export NAME` is made from it.

    `write` gets what is copied, the draft of the folder, a progress function (done, total) and
    the options; it writes all files, the one that lists them last. With `of` "samples" it copies
    an `export.source.Source`, with "tables" a `store.tables.Store`. The fields of `options`, plain
    types with descriptions, become options of the command line. `check` refuses a folder of a
    wrong name (InputError), `hint` gives the lines that open a finished one in the other tool;
    `example` is a right name, for the help.
    """

    help: str
    write: Callable[[Any, Draft, Callable[[int, int], None], Any], None]
    hint: Callable[[Path], str]
    of: Literal["samples", "tables"] = "samples"
    options: type[BaseModel] = NoOptions
    check: Callable[[Path], None] | None = None
    folder: str = "new or empty folder"
    example: str = "exported"
