"""Whether the vault still knows all that the store was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.discovery.forgotten import pathless
from fvlm_data.inspect import damage
from fvlm_data.inspect.verify import Check
from fvlm_data.run.vault_extent import lost_by_vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fvlm_data.store.declared import Context

_REMEDY = (
    "name the whole vault by identity.vault or FVLM_VAULT, bring vault.sqlite back with `fvlm-data "
    "vault restore`, or have it read the sources again with `fvlm-data vault relearn`"
)


def names_checks(context: Context) -> list[Check]:
    """Whether reports can be scrubbed by all names that headers told.

    Raises:
        StoreError: the store or the vault cannot be read.
    """
    lost = [
        f"{name.replace('_', ' ')}: {found}, expected at least {expected}"
        for name, (found, expected) in lost_by_vault(context).items()
    ]
    marked = _values(context, "identity_marks", "owner_id", ())
    return [
        Check(
            "the vault knows no less than when the store was last written",
            not lost,
            f"{len(lost)} numbers fell",
            tuple(lost),
            _REMEDY,
        ),
        _known(
            "the names of patients, under each id that a report may use",
            marked,
            context.vault.unknown_patients,
        ),
    ]


def vault_checks(context: Context) -> list[Check]:
    """Statements of all that the vault holds of patients, reports and files of the store.

    Raises:
        StoreError: the store or the vault cannot be read.
    """
    vault = context.vault
    reports = _values(context, "inputs", "item", (("kind", "=", "report"),))
    files = _values(context, "inputs", "token", (("kind", "=", "file"),))
    files -= pathless(context.store)
    return [
        *names_checks(context),
        _known("the originals of all reports", reports, vault.unknown_reports),
        _known("the paths of all files", files, vault.unknown_files),
    ]


def _known(what: str, items: set[str], unknown: Callable[[Iterable[str]], set[str]]) -> Check:
    lacking = sorted(unknown(items))
    return Check(
        f"the vault holds {what}",
        not lacking,
        f"{len(items)} told, {len(lacking)} lacking",
        tuple(lacking[: damage.EXAMPLES]),
        _REMEDY,
    )


def _values(
    context: Context, table: str, column: str, where: Iterable[tuple[str, str, str]]
) -> set[str]:
    found = context.store.read(table, [column], list(where))[column].to_pylist()
    return {value for value in found if value is not None}
