"""What stood in a report as it came where its scrubbed text has a placeholder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError
from fvlm_data.reports.scrubbing.scrub import scrub
from fvlm_data.reports.versions.original_reports import remembered

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary


def original_span(
    context: Context, vocabulary: Vocabulary, report_id: str, start: int, end: int
) -> str:
    """What stood in the original where [start, end) stands in the stored text.

    Made anew from what the vault keeps, which alone can tell it.

    Raises:
        StoreError: the vault does not hold the report.
    """
    original = remembered(context.vault, [report_id]).get(report_id)
    if original is None:
        raise StoreError(
            f"report {report_id}: not in the vault; expected the vault that was used when its "
            "file was read; name it by identity.vault or FVLM_VAULT"
        )
    known = {*_known_identities(context, report_id), *original.identities}
    scrubbed = scrub(original.text, known, vocabulary)
    begin, stop = scrubbed.original_span(start, end)
    return original.text[begin:stop]


def _known_identities(context: Context, report_id: str) -> set[str]:
    """What the vault knows of all whom the report may be about."""
    columns = ["owner_kind", "owner_id"]
    rows = context.store.read_items("report_matches", "report_id", [report_id], columns)
    owners = [row["owner_id"] for row in rows if row["owner_kind"] != "study"]
    known = context.vault.patient_identities(owners)
    return {name for names in known.values() for name in names}
