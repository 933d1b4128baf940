"""What sets one kind of source apart from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.walk import FoundFile
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.description import Columns, Description
    from fvlm_data.ingest.volume.result import SeriesResult


class Read(Protocol):
    """Reads the files of one series; each ends in a volume or in a reject."""

    def __call__(
        self,
        files: Sequence[SourceFile],
        series_id: str,
        key: bytes,
        config: IngestConfig,
        description: Description,
        threads: int,
    ) -> SeriesResult:
        """Read `files`; `key` is the vault's, `description` what the mapping CSV says.

        At most `threads` may be busy at once.
        """


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source.

    `find` lists its files and raises InputError where there are none, `probe` says from a file's
    header which series it belongs to or why it is set aside, `read` makes volumes of a series.
    `mapping` names the columns of its mapping CSV (None: it takes none), which the kind may need.
    `place` is the key of the configuration that says where the source lies.
    """

    find: Callable[[SourceConfig], Iterator[FoundFile]]
    probe: Callable[[FoundFile], Probed]
    read: Read
    mapping: Columns | None = None
    needs_mapping: bool = False
    place: Literal["path", "url"] = "path"
