from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.pairing.lobes import lobes_of
from fvlm_data.pairing.signature import SIGNATURE_STATUSES, finding_set, signature
from fvlm_data.vocabulary import Vocabulary
from schemas.findings import LATERALITIES, STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

EN = Vocabulary.load()


def _lobes(row: Mapping[str, Any]) -> list[str]:
    return lobes_of(EN).of(row["location"] or "")


def mention(
    finding: str,
    status: str = "present",
    laterality: str | None = None,
    severity: str | None = None,
    location: str | None = None,
) -> dict[str, Any]:
    return {
        "finding": finding,
        "status": status,
        "laterality": laterality,
        "severity": severity,
        "location": location,
    }


MENTIONS = st.lists(
    st.builds(
        mention,
        st.sampled_from(["cyst", "mass", "stone"]),
        st.sampled_from(STATUSES),
        st.sampled_from([None, *LATERALITIES]),
    ),
    max_size=8,
)


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        ([], ()),
        ([mention("cyst", "absent"), mention("mass", "hypothetical")], ()),
        ([mention("cyst"), mention("cyst")], ("cyst|present|",)),
        ([mention("cyst", "uncertain"), mention("cyst")], ("cyst|present|",)),
        ([mention("cyst", "historical"), mention("cyst", "uncertain")], ("cyst|uncertain|",)),
        ([mention("cyst", "family")], ()),
        ([mention("cyst"), mention("cyst", laterality="left")], ("cyst|present|left",)),
        (
            [mention("cyst"), mention("cyst", "uncertain", "left")],
            ("cyst|present|", "cyst|uncertain|left"),
        ),
        (
            [mention("cyst", "uncertain"), mention("cyst", "historical", "bilateral")],
            ("cyst|historical|bilateral", "cyst|uncertain|"),
        ),
        (
            [mention("cyst", "uncertain"), mention("cyst", laterality="left")],
            ("cyst|present|left",),
        ),
        (
            [mention("cyst", laterality="right"), mention("cyst", laterality="left")],
            ("cyst|present|bilateral",),
        ),
        (
            [mention("cyst", laterality="bilateral"), mention("cyst", laterality="left")],
            ("cyst|present|bilateral",),
        ),
        (
            [mention("cyst", "uncertain", "bilateral"), mention("cyst", laterality="left")],
            ("cyst|present|left", "cyst|uncertain|right"),
        ),
        ([mention("mass"), mention("cyst")], ("cyst|present|", "mass|present|")),
    ],
)
def test_finding_set(mentions: list[dict[str, Any]], expected: tuple[str, ...]):
    assert finding_set(mentions) == expected


def test_severity_tells_findings_apart_by_setting():
    told = [
        mention("steatosis", severity="mild"),
        mention("steatosis", severity="severe"),
        mention("steatosis", "uncertain", severity="moderate"),
        mention("cyst", laterality="left", severity="mild"),
        mention("cyst", laterality="right"),
    ]
    assert finding_set(told) == ("cyst|present|bilateral", "steatosis|present|")
    assert finding_set(told, severity=True) == (
        "cyst|present|left|mild",
        "cyst|present|right|",
        "steatosis|present||severe",
    )


@pytest.mark.parametrize(
    ("location", "lobe"),
    [
        ("right upper lobe", "upper"),
        ("lower lobe of both lungs", "lower"),
        ("upper and lower lobes of the right lung", "lower+upper"),
        ("upper, middle, and lower lobes", "lower+middle+upper"),
        ("Upper/Middle lobes", "middle+upper"),
        ("Apical segment of the right upper lung lobe", "upper"),
        ("middle lobe and in the RLL", "lower+middle"),
        ("lower lobe and lingula", "lingula+lower"),
        ("right lobe of the liver", "right"),
        ("caudate lobe of the liver", "caudate"),
        ("right lung", ""),
        (None, ""),
    ],
)
def test_lobe_tells_findings_apart_by_setting(location: str | None, lobe: str):
    told = [mention("nodule", laterality="right", location=location)]
    assert finding_set(told) == ("nodule|present|right",)
    assert finding_set(told, lobes=_lobes) == (f"nodule|present|right|{lobe}",)
    assert finding_set(told, severity=True, lobes=_lobes) == (f"nodule|present|right||{lobe}",)


@given(MENTIONS)
def test_what_is_certain_stays_certain(mentions: list[dict[str, Any]]):
    surest = {}
    for one in mentions:
        if one["status"] in SIGNATURE_STATUSES:
            surest.setdefault(one["finding"], set()).add(one["status"])
    told: dict[str, set[str]] = {}
    for member in finding_set(mentions):
        told.setdefault(member.split("|")[0], set()).add(member.split("|")[1])
    assert told.keys() == surest.keys()
    for finding, statuses in surest.items():
        assert min(map(SIGNATURE_STATUSES.index, told[finding])) == min(
            map(SIGNATURE_STATUSES.index, statuses)
        )


@given(MENTIONS)
def test_both_sides_are_bilateral(mentions: list[dict[str, Any]]):
    sided = [
        {**one, "laterality": side}
        for one in mentions
        for side in (("left", "right") if one["laterality"] == "bilateral" else [one["laterality"]])
    ]
    assert finding_set(sided) == finding_set(mentions)


@given(MENTIONS, st.randoms())
def test_order_and_repetition_change_nothing(mentions: list[Any], order: random.Random):
    shuffled = [*mentions, *mentions]
    order.shuffle(shuffled)
    assert finding_set(shuffled) == finding_set(mentions)
    members = list(finding_set(mentions))
    order.shuffle(members)
    assert signature(members) == signature(finding_set(mentions))


@given(MENTIONS, MENTIONS)
def test_signatures_agree_exactly_where_sets_do(one: list[Any], other: list[Any]):
    sets = finding_set(one), finding_set(other)
    assert (signature(sets[0]) == signature(sets[1])) == (sets[0] == sets[1])


@given(MENTIONS)
def test_signature_fits_a_signed_column_and_is_zero_for_nothing_only(mentions: list[Any]):
    members = finding_set(mentions)
    assert -(2**63) <= signature(members) < 2**63
    assert (signature(members) == 0) == (not members)


def test_signature_is_pinned():
    """Stored signatures must agree with those of later versions."""
    assert signature(["mass|present|", "cyst|present|left"]) == 5815994649940979290
