"""Who is to be forgotten: by ids of the store, or by original ids through the vault's key."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import keyed_id, link_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fvlm_data.store.declared import Context

STORE_ID = re.compile(r"(p|st)_[0-9a-f]{20}")
KINDS = ("patient_id", "study_uid", "accession")
"""Kinds of original ids; columns of a CSV are called so, or `id` for those of the store."""

ISSUER = "issuer"
OF_A_PATIENT = "patient"
OF_A_STUDY = "study"


@dataclass(frozen=True, slots=True)
class Target:
    """A patient or study (`what`): ids of the store, and hashes of the original id that was given.

    `place` says where it was named, in words without identity. One without ids in the store is
    kept out of it from now on.
    """

    place: str
    what: str
    ids: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """One entry as it was given: kind (`id` or one of KINDS; empty: not told), value, issuer."""

    kind: str
    value: str
    issuer: str
    place: str


def read_csv(path: Path) -> list[Named]:
    """Entries of a CSV: one of the columns `id` and KINDS is filled in each line, `issuer` may be.

    Raises:
        InputError: the file cannot be read, has none of the columns, or a line names none or two.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            columns = [name for name in reader.fieldnames or () if name in ("id", *KINDS)]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}); expected a CSV file in UTF-8"
        ) from error
    if not columns:
        raise InputError(f"{path}: expected a column id, {', '.join(KINDS)}; found none of them")
    entries = []
    for number, row in enumerate(rows, start=2):
        filled = [(name, row[name].strip()) for name in columns if (row[name] or "").strip()]
        if len(filled) != 1:
            raise InputError(
                f"{path}: line {number} fills {len(filled)} of the columns {', '.join(columns)}; "
                "expected one"
            )
        issuer = (row.get(ISSUER) or "").strip()
        entries.append(Named(*filled[0], issuer, f"line {number}"))
    return entries


def resolved(context: Context, entries: Sequence[Named], *, known: bool = True) -> list[Target]:
    """The patients and studies that entries name; with `known` false, whether there or not.

    Raises:
        InputError: an id of the store is not known, or an original id names several patients, or
            nothing and its kind was not told; the message gives the entry's place, not the id.
        StoreError: the store or vault cannot be read.
    """
    return [_resolved(context, one) if known else _unresolved(context, one) for one in entries]


def _unresolved(context: Context, one: Named) -> Target:
    """An id as it is, of the store or original, of something that may be gone."""
    if STORE_ID.fullmatch(one.value):
        return Target(one.place, OF_A_PATIENT if one.value[0] == "p" else OF_A_STUDY, (one.value,))
    if one.kind not in KINDS:
        raise InputError(f"{one.place}: say by --kind ({', '.join(KINDS)}) what it is")
    (target,) = _by_original(context, one, one.kind)
    return target


def _resolved(context: Context, one: Named) -> Target:
    if one.kind == "id" or (not one.kind and STORE_ID.fullmatch(one.value)):
        return _by_store_id(context, one)
    kinds = [one.kind] if one.kind else list(KINDS)
    found = [target for kind in kinds for target in _by_original(context, one, kind)]
    known = [target for target in found if target.ids]
    if len(known) > 1 or (known and len(known[0].ids) > 1):
        raise InputError(
            f"{one.place}: names {sum(len(t.ids) for t in known)} patients or studies, expected "
            f"one; say which kind of id it is (--kind {', '.join(KINDS)}) and its issuer, or name "
            "it by its id in the store"
        )
    if known:
        return known[0]
    if not one.kind:
        raise InputError(
            f"{one.place}: names nothing of the store; check it, or say by --kind "
            f"({', '.join(KINDS)}) what it is, to keep it out from now on"
        )
    return found[0]


def _by_store_id(context: Context, one: Named) -> Target:
    prefix = one.value.partition("_")[0]
    if not STORE_ID.fullmatch(one.value):
        raise InputError(f"{one.place}: no id of a patient (p_...) or study (st_...)")
    what = OF_A_PATIENT if prefix == "p" else OF_A_STUDY
    column = f"{what}_id"
    known = (
        context.store.read("candidates", [column], [(column, "=", one.value)]).num_rows
        or context.store.read("links", ["owner_id"], [("owner_id", "=", one.value)]).num_rows
        or context.store.read("identity_marks", None, [("owner_id", "=", one.value)]).num_rows
    )
    if known:
        return Target(one.place, what, (one.value,))
    if context.vault.forgotten([one.value]):
        raise InputError(f"{one.place}: {one.value} is forgotten already; nothing to do")
    raise InputError(f"{one.place}: {one.value} is not in the store; check it")


def _by_original(context: Context, one: Named, kind: str) -> list[Target]:
    """The targets of an original id of a kind: one, or one for each patient of that number."""
    key = context.vault.key
    what = OF_A_PATIENT if kind == "patient_id" else OF_A_STUDY
    value = link_key(kind, one.value, one.issuer or None, key=key)
    where = [("kind", "=", kind), ("value_hash", "=", value), ("owner_kind", "=", what)]
    rows = context.store.read("links", ["owner_id"], where)
    ids = set(rows["owner_id"].to_pylist())
    if what == OF_A_PATIENT:
        # a patient whose images were all refused has no link, but a mark
        own = keyed_id(key, "p", value)
        marked = context.store.read("identity_marks", ["owner_id"], [("owner_id", "=", own)])
        ids |= {own} if marked.num_rows else set()
        if not ids:
            return [Target(one.place, what, (), (own, value))]
    return [Target(one.place, what, tuple(sorted(ids)), (value,))]
