"""Discovery `discover_clinical`: what each file holds of each patient, as rows of table `inputs`.

A row's item is the keyed hash of the patient's number; table `links` says which patient that is, so
a row may be here before the patient's images are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.clinical.offered import Offer, counted, offers_of
from fvlm_data.clinical.sources.told import Aside
from fvlm_data.identity.forgotten import told as told_forgotten
from fvlm_data.identity.ids import keyed_id
from fvlm_data.store.declared import Foreseen
from fvlm_data.store.discovered import changed_sources, close_sources, open_sources
from schemas import Input, Quarantined

if TYPE_CHECKING:
    from collections import Counter

    from fvlm_data.clinical.config import ClinicalConfig
    from fvlm_data.store.declared import Context

DISCOVERY = "discover_clinical"
KIND = "clinical"


def discover_clinical(context: Context, config: ClinicalConfig, naming: Any) -> Counter[str]:
    """Make table `inputs` hold what the files hold and nothing else; returns counts.

    Values without a patient are set aside by file and reason. Nothing is written if nothing
    differs.

    Raises:
        ClinicalSourceError: a source is missing, or a file of it cannot be read.
        StoreError: a table is missing, or cannot be written.
    """
    offers = _kept_out(context, config, offers_of(context.vault.key, config, naming))
    wanted = {token: _input(token, offer) for token, offer in offers.items()}
    aside = {
        token: _aside(token, offer) for token, offer in offers.items() if offer.fault is not None
    }
    standing = _standing(context)
    damaged = changed_sources(context, DISCOVERY, KIND)
    changed = {
        token
        for token in wanted.keys() | standing.keys()
        if wanted.get(token) != standing.get(token)
        or (token in wanted and wanted[token].source in damaged)
    }
    sources = {row.source for row in wanted.values()}
    if changed:
        touched = {
            row.source for of in (wanted, standing) for token, row in of.items() if token in changed
        }
        open_sources(context, DISCOVERY, touched)
        _remember(context, offers)
        tokens = sorted(changed)
        context.store.replace(
            "quarantine", tokens, [aside[one] for one in tokens if one in aside],
            {"stage": DISCOVERY},
        )  # fmt: skip
        rows = [wanted[one] for one in tokens if one in wanted]
        context.store.replace("inputs", tokens, rows, {"kind": KIND})
        sources |= touched
    close_sources(context, DISCOVERY, KIND, sources)
    return counted(list(offers.values()))


def foresee_clinical(
    context: Context | None, config: ClinicalConfig, naming: Any
) -> list[Foreseen]:
    """What there is of patients in all files, and what is not as it stands; writes nothing.

    Raises:
        ClinicalSourceError: a source is missing, or a file of it cannot be read.
    """
    key = context.vault.key if context else b""
    offers = offers_of(key, config, naming)
    standing = _standing(context) if context else {}
    new = [one for token, one in offers.items() if standing.get(token) != _input(token, one)]
    read = sum(one.size_bytes for one in new)
    return [Foreseen("patients by clinical file", len(offers), len(new), read)]


def _kept_out(
    context: Context, config: ClinicalConfig, offers: dict[str, Offer]
) -> dict[str, Offer]:
    """The offers; of patients who were forgotten only that there is something."""
    gone = context.vault.forgotten({one.name for one in offers.values() if one.name})
    if not gone:
        return offers
    key, kept = context.vault.key, {}
    for token, offer in offers.items():
        later = gone.get(offer.name or "")
        if later is None:
            kept[token] = offer
            continue
        nowhere = keyed_id(key, "f", "clinical", "forgotten", token)
        file = keyed_id(key, "f", "clinical", "forgotten", offer.file)
        kept[nowhere] = Offer(file, "", None, Aside(*told_forgotten(later)), values=offer.values)
    return kept


def _standing(context: Context) -> dict[str, Input]:
    rows = context.store.read("inputs", None, [("kind", "=", KIND)]).to_pylist()
    return {row["token"]: Input(**row) for row in rows}


def _input(token: str, offer: Offer) -> Input:
    return Input(
        kind=KIND,
        token=token,
        source=offer.file,
        item=offer.name,
        fingerprint=offer.fingerprint,
        size_bytes=offer.size_bytes,
        modified_ns=0,
    )


def _aside(token: str, offer: Offer) -> Quarantined:
    fault = offer.fault
    if fault is None:
        raise ValueError(f"{token} is not set aside")
    return Quarantined(
        kind=fault.kind,
        stage=DISCOVERY,
        item=token,
        reason=fault.reason,
        detail=f"{offer.values} values of a file: {fault.detail}",
        source_files=(offer.file,),
    )


def _remember(context: Context, offers: dict[str, Offer]) -> None:
    """Give the vault the places of files that it does not know."""
    places = {one.file: one.path for one in offers.values() if one.path}
    unknown = context.vault.unknown_files(places)
    if unknown:
        context.vault.remember_files({file: places[file] for file in unknown})
