"""How a source of reports is to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """`columns`: our name -> column. `linked`: a mapping file may name the studies."""

    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    linked: bool = False
