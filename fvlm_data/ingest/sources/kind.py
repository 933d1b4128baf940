"""What sets one kind of source apart from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.ingest.discovery.listed import Listed
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


class ToldNames(Protocol):
    """Names, ids and dates that the headers of a series tell, by patient and link hash."""

    def __call__(
        self, files: Sequence[SourceFile], series_id: str, key: bytes, config: IngestConfig
    ) -> Mapping[str, Sequence[str]]:
        """Read the headers of `files`; `key` is the vault's."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source.

    `find` lists its files and raises InputError where there are none, `probe` says from a file's
    header which series it belongs to or why it is set aside, `read` makes volumes of a series.
    `changed` lists at least what is not as an earlier listing of `find` left it (`Listed`); a kind
    without it is always listed as a whole. `told_names` is for a kind whose headers tell names
    faster than `read`. `mapping` names the columns of its mapping CSV (None: it takes none), which
    the kind may need. `is_mapped` says by relative name which of its files the CSV describes.
    `place` is the key of the configuration that says where the source lies, `schemes` what a url of
    it may begin with. `named` lists of a source only what it is told to look at: relative names, of
    which some may be gone.
    """

    find: Callable[[SourceConfig], Iterator[FoundFile]]
    probe: Callable[[FoundFile], Probed]
    read: Read
    told_names: ToldNames | None = None
    mapping: Columns | None = None
    needs_mapping: bool = False
    place: Literal["path", "url"] = "path"
    is_mapped: Callable[[str], bool] = bool
    changed: Callable[[SourceConfig, Listed], Iterator[FoundFile]] | None = None
    schemes: tuple[str, ...] = ("https://", "http://")
    named: Callable[[SourceConfig, Sequence[str]], Iterator[FoundFile]] | None = None
