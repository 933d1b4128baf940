"""What a run is to read, looked at before it starts.

A wrong path is told at once, not after hours of the stages before; nor is it written down in the
store's last configuration, from which the next command would take it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from fvlm_data.run.config import Config


def check_inputs(config: Config, stages: Collection[str]) -> None:
    """Refuse a run of `stages` whose sources, reports, masks or split file cannot be opened.

    Raises:
        InputError: one is missing or has not the expected form.
        ConfigError: a map of classes is neither known nor a file, or the vocabulary is at fault.
    """
    for section, path in _named(config, stages):
        if not path.exists():
            raise InputError(
                f"{section} {path}: not found; check the path; what is gone for good is taken out "
                f"of `{section.split('[')[0]}` in the configuration (that of the last run is "
                "config.yaml in the store)"
            )
    if "ingest" in stages:
        from fvlm_data.ingest.sources import KINDS

        for source in config.sources:
            next(KINDS[source.kind].find(source))
    if not {"segment", "reports", "pair", "shard"}.isdisjoint(stages):
        vocabulary = config.vocabulary.load()
    if "segment" in stages:
        from fvlm_data.segment.stage import check_masks

        check_masks(config.segment, vocabulary)
    if "shard" in stages:
        from fvlm_data.segment.merge import ranked_anatomies

        ranked_anatomies(config.shard.anatomies, vocabulary)
    if "reports" in stages:
        from fvlm_data.reports.sources import read_reports

        for report in config.reports:
            rows = read_reports(
                report.path,
                report.columns,
                kind=report.kind,
                mapping=report.mapping,
                encoding=report.encoding,
            )
            next(rows, None)
    if "split" in stages and config.pair.split_file is not None:
        from fvlm_data.pairing.splits import read_split_file

        read_split_file(config.pair.split_file, b"")


def _named(config: Config, stages: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Paths that the configuration names for `stages`, with the section that names them."""
    if "ingest" in stages:
        for number, source in enumerate(config.sources):
            if source.kind != "dicomweb":
                yield f"sources[{number}].path", source.path
            if source.mapping is not None:
                yield f"sources[{number}].mapping", source.mapping
    if "reports" in stages:
        for number, report in enumerate(config.reports):
            yield f"reports[{number}].path", report.path
            if report.mapping is not None:
                yield f"reports[{number}].mapping", report.mapping
    if "split" in stages and config.pair.split_file is not None:
        yield "pair.split_file", config.pair.split_file
