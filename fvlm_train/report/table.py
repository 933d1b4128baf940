"""RUN/log.csv: the run's log as a table, a line a step, written as the steps come."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

TABLE = "log.csv"
NO_COLUMNS = ("losses", "damaged")
"""Parts of a step that are no number: they become a column an anatomy, and a count."""


class TableLog:
    """The file, a context manager; `earlier` steps of a resumed run are written anew.

    So a line that a killed run left half is made whole, and no step stands twice. `columns` are the
    names of a step's values in the log; each of the `anatomies` has its loss in a column of its
    own. Only the first rank `writes`.
    """

    def __init__(
        self,
        run: Path,
        columns: Sequence[str],
        anatomies: Sequence[str],
        earlier: Iterable[dict[str, Any]] = (),
        *,
        writes: bool = True,
    ) -> None:
        """Nothing is written yet."""
        self._path = run / TABLE
        self._plain = [name for name in columns if name not in NO_COLUMNS]
        self._anatomies = tuple(anatomies)
        self._earlier = earlier
        self._writes = writes
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Write the earlier steps beside the old table, put it in its place, and open it."""
        if self._writes:
            temporary = self._path.with_suffix(".partial")
            with temporary.open("w", encoding="utf-8", newline="") as self._file:
                losses = (f"loss_{anatomy}" for anatomy in self._anatomies)
                csv.writer(self._file).writerow([*self._plain, *losses, "damaged"])
                for line in self._earlier:
                    self._add(line)
            temporary.replace(self._path)
            self._file = self._path.open("a", encoding="utf-8", newline="")
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def write(self, line: dict[str, Any]) -> None:
        """Append one step as the run's log has it."""
        if self._file:
            self._add(line)
            # readable at once, and kept if the process is killed
            self._file.flush()

    def _add(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        # an older version's log lacks what its steps did not tell
        plain = [line.get(name) for name in self._plain]
        losses = [line["losses"].get(anatomy) for anatomy in self._anatomies]
        csv.writer(self._file).writerow([*plain, *losses, len(line.get("damaged", ()))])
