"""The soft target matrix: hand-made cases, and laws against a plain loop."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.pairing.signature import finding_set, signature
from fvlm_data.pairing.targets import (
    DEFAULT_NOT_MENTIONED,
    POLICIES,
    STATES,
    NotMentioned,
    Policy,
    abnormal_pairs,
    targets,
    with_similarity,
)


@dataclass(frozen=True, slots=True)
class Row:
    study: str
    found: frozenset[str]
    text: str
    state: str


def found(*members: str) -> frozenset[str]:
    """A canonical finding set, from `finding|status|laterality` in any order."""
    split = [member.split("|") for member in members]
    mentions = [
        {"finding": finding, "status": status, "laterality": side or None}
        for finding, status, side in split
    ]
    return frozenset(finding_set(mentions))


def matrix(rows: list[Row], policy: Policy, silence: NotMentioned | None = None) -> torch.Tensor:
    return targets(
        [row.study for row in rows],
        torch.tensor([signature(row.found) for row in rows], dtype=torch.int64),
        [row.found for row in rows],
        [row.text for row in rows],
        [row.state for row in rows],
        policy,
        not_mentioned=silence,
    )


STATUS_SAME = {
    ("present", "present"): 1.0,
    ("uncertain", "uncertain"): 1.0,
    ("historical", "historical"): 1.0,
    ("present", "uncertain"): 0.5,
    ("uncertain", "present"): 0.5,
}
CERTAINTY = ["present", "uncertain", "historical"]


def by_finding(members: frozenset[str]) -> dict[str, dict[str, str]]:
    told: dict[str, dict[str, str]] = {}
    for member in members:
        name, status, side = member.split("|")
        for one in ["left", "right"] if side == "bilateral" else [side]:
            told.setdefault(name, {})[one] = status
    return told


def plain_overlap(one: frozenset[str], other: frozenset[str]) -> float:
    ours, theirs = by_finding(one), by_finding(other)
    if not ours and not theirs:
        return 0.0
    total = 0.0
    for name in (ours.keys() & theirs.keys()) - {"other_abnormality"}:
        a, b = ours[name], theirs[name]
        strongest = [min(sides.values(), key=CERTAINTY.index) for sides in (a, b)]
        sides = [STATUS_SAME.get((a.get(s, ""), b.get(s, "")), 0.0) for s in a.keys() | b.keys()]
        total += STATUS_SAME.get((strongest[0], strongest[1]), 0.0) / 2
        total += sum(sides) / len(sides) / 2
    return total / len(ours.keys() | theirs.keys())


def plain_entry(one: Row, other: Row, policy: Policy, silence: NotMentioned) -> float:
    if one.study == other.study:
        return 1.0
    if policy == "none":
        return 0.0
    healthy = {"normal_stated", "not_mentioned"} if silence == "normal" else {"normal_stated"}
    if one.state in healthy and other.state in healthy:
        return 1.0
    if policy == "reference":
        return float(one.text == other.text)
    if one.state != "abnormal" or other.state != "abnormal":
        return 0.0
    if policy == "graded":
        return plain_overlap(one.found, other.found)
    unnamed = not one.found or any("other_abnormality" in member for member in one.found)
    return float(one.found == other.found and not unnamed)


def plain_loop(rows: list[Row], policy: Policy, silence: NotMentioned | None) -> list[list[float]]:
    silence = silence or DEFAULT_NOT_MENTIONED[policy]
    result = []
    for one in rows:
        row = [plain_entry(one, other, policy, silence) for other in rows]
        result.append([value / sum(row) for value in row])
    return result


mentions = st.builds(
    "{}|{}|{}".format,
    st.sampled_from(["cyst", "mass", "other_abnormality"]),
    st.sampled_from(CERTAINTY),
    st.sampled_from(["", "left", "right", "bilateral"]),
)
rows_of_a_batch = st.lists(
    st.builds(
        Row,
        study=st.sampled_from(["s1", "s2", "s3", "s4"]),
        found=st.lists(mentions, max_size=4).map(lambda some: found(*some)),
        text=st.sampled_from(["", "A stone.", "A stone. ", "No stone."]),
        state=st.sampled_from(STATES),
    ),
    min_size=1,
    max_size=9,
)
policies = st.sampled_from(POLICIES)
treatments = st.sampled_from([None, "normal", "excluded"])


@settings(deadline=None)
@given(rows_of_a_batch, policies, treatments)
def test_equals_a_plain_loop(rows: list[Row], policy: Policy, silence: NotMentioned | None) -> None:
    expected = torch.tensor(plain_loop(rows, policy, silence))
    torch.testing.assert_close(matrix(rows, policy, silence), expected)


@settings(deadline=None)
@given(rows_of_a_batch, policies, treatments)
def test_rows_sum_to_one_and_positives_are_mutual(
    rows: list[Row], policy: Policy, silence: NotMentioned | None
) -> None:
    target_ij = matrix(rows, policy, silence)
    assert target_ij.dtype == torch.float32
    torch.testing.assert_close(target_ij.sum(1), torch.ones(len(rows)))
    before_ij = target_ij / target_ij.diagonal()[:, None]
    torch.testing.assert_close(before_ij, before_ij.T)
    assert torch.equal(target_ij > 0, target_ij.T > 0)
    assert before_ij.max() <= 1 + 1e-6


@settings(deadline=None)
@given(rows_of_a_batch, policies, treatments)
def test_same_study_is_positive_as_the_sample_itself(
    rows: list[Row], policy: Policy, silence: NotMentioned | None
) -> None:
    target_ij = matrix(rows, policy, silence)
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            if one.study == other.study:
                assert target_ij[i, j] == target_ij[i, i] > 0


@settings(deadline=None)
@given(rows_of_a_batch)
def test_graded_is_one_exactly_where_signatures_agree(rows: list[Row]) -> None:
    apart = [Row(str(number), row.found, row.text, row.state) for number, row in enumerate(rows)]
    graded_ij, exact_ij = matrix(apart, "graded"), matrix(apart, "signature")
    whole_ij = graded_ij / graded_ij.diagonal()[:, None] > 1 - 1e-6
    assert torch.equal(whole_ij, exact_ij > 0)


@settings(deadline=None)
@given(rows_of_a_batch, policies, treatments, st.randoms(use_true_random=False))
def test_reordering_the_batch_reorders_the_matrix(
    rows: list[Row], policy: Policy, silence: NotMentioned | None, random: object
) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = matrix([rows[i] for i in order], policy, silence)
    torch.testing.assert_close(shuffled, matrix(rows, policy, silence)[order][:, order])


NOTHING = found()
HEALTHY = Row("a", NOTHING, "Liver is normal.", "normal_stated")
ALSO_HEALTHY = Row("b", NOTHING, "The liver is unremarkable.", "normal_stated")
SILENT = Row("c", NOTHING, "", "not_mentioned")
CYST = Row("d", found("cyst|present|"), "A hepatic cyst.", "abnormal")
SAME_CYST = Row("e", found("cyst|present|"), "Cyst in the liver.", "abnormal")
OTHER = Row("f", found("mass|present|"), "A hepatic cyst.", "abnormal")
UNNAMED = [Row(s, found("other_abnormality|present|"), s, "abnormal") for s in "gh"]
NO_FINDING = [Row(s, NOTHING, s, "abnormal") for s in "ij"]


@pytest.mark.parametrize(
    ("policy", "one", "other", "positive"),
    [
        ("none", HEALTHY, ALSO_HEALTHY, False),
        ("none", CYST, OTHER, False),
        ("reference", HEALTHY, ALSO_HEALTHY, True),
        ("reference", HEALTHY, SILENT, True),
        ("reference", CYST, SAME_CYST, False),
        ("reference", CYST, OTHER, True),
        ("signature", HEALTHY, ALSO_HEALTHY, True),
        ("signature", HEALTHY, SILENT, False),
        ("signature", CYST, SAME_CYST, True),
        ("signature", CYST, OTHER, False),
        ("signature", HEALTHY, Row("g", NOTHING, "x", "abnormal"), False),
        ("signature", *UNNAMED, False),
        ("signature", *NO_FINDING, False),
        ("graded", *UNNAMED, False),
        ("graded", *NO_FINDING, False),
        ("graded", HEALTHY, ALSO_HEALTHY, True),
        ("graded", HEALTHY, CYST, False),
    ],
)
def test_pairs_worked_out_by_hand(policy: Policy, one: Row, other: Row, positive: bool) -> None:
    assert bool(matrix([one, other], policy)[0, 1] > 0) is positive


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (["cyst|present|left"], ["cyst|present|left"], 1),
        (["cyst|present|left", "cyst|present|right"], ["cyst|present|bilateral"], 1),
        (["cyst|present|left"], ["cyst|present|right"], 1 / 2),
        (["cyst|present|left"], ["cyst|present|bilateral"], 3 / 4),
        (["cyst|present|left"], ["cyst|present|"], 1 / 2),
        (["cyst|present|"], ["cyst|uncertain|"], 1 / 2),
        (["cyst|present|left"], ["cyst|uncertain|right"], 1 / 4),
        (["cyst|present|"], ["cyst|historical|"], 0),
        (["cyst|present|"], ["cyst|present|", "mass|present|"], 1 / 2),
        (["cyst|present|"], ["mass|present|"], 0),
        (["cyst|present|", "stone|present|left"], ["cyst|present|", "stone|present|right"], 3 / 4),
        (["cyst|present|", "other_abnormality|present|"],
         ["cyst|present|", "other_abnormality|present|"], 1 / 2),
    ],
)  # fmt: skip
def test_overlap_worked_out_by_hand(one: list[str], other: list[str], expected: float) -> None:
    rows = [Row("a", found(*one), "x", "abnormal"), Row("b", found(*other), "y", "abnormal")]
    target_ij = matrix(rows, "graded")
    assert float(target_ij[0, 1] / target_ij[0, 0]) == pytest.approx(expected)


def test_malformed_finding_set_is_told() -> None:
    rows = [Row("a", frozenset({"cyst"}), "x", "abnormal")]
    with pytest.raises(ValueError, match=r"'cyst': expected finding\|status\|laterality"):
        matrix(rows, "graded")


def test_model_judges_the_pairs_of_two_abnormal_studies_only() -> None:
    second_volume = Row("d", NOTHING, "x", "abnormal")
    rows = [CYST, second_volume, SAME_CYST, OTHER, HEALTHY, ALSO_HEALTHY]
    target_ij = matrix(rows, "signature")
    pairs_ij = abnormal_pairs([row.study for row in rows], [row.state for row in rows])
    assert pairs_ij.nonzero().tolist() == [
        [0, 2], [0, 3], [1, 2], [1, 3], [2, 0], [2, 1], [2, 3], [3, 0], [3, 1], [3, 2]
    ]  # fmt: skip
    similarity_ij = torch.full((6, 6), 0.4, requires_grad=True)
    judged_ij = with_similarity(target_ij, pairs_ij, similarity_ij, keep=0.5)
    entries = (judged_ij / judged_ij.diagonal()[:, None])[0]
    assert entries.tolist() == pytest.approx([1, 1, 0.7, 0.2, 0, 0])
    torch.testing.assert_close(judged_ij[4:], target_ij[4:])
    assert not judged_ij.requires_grad
    with pytest.raises(ValueError, match="between 0 and 1"):
        with_similarity(target_ij, pairs_ij, similarity_ij * 3)
    with pytest.raises(ValueError, match="one shape"):
        with_similarity(target_ij, pairs_ij, similarity_ij[:2])


@settings(deadline=None)
@given(rows_of_a_batch, policies, st.floats(0, 1), st.integers(0, 2**16))
def test_judged_targets_are_targets(
    rows: list[Row], policy: Policy, keep: float, seed: int
) -> None:
    target_ij = matrix(rows, policy)
    pairs_ij = abnormal_pairs([row.study for row in rows], [row.state for row in rows])
    drawn_ij = torch.rand(len(rows), len(rows), generator=torch.Generator().manual_seed(seed))
    judged_ij = with_similarity(target_ij, pairs_ij, drawn_ij, keep)
    torch.testing.assert_close(judged_ij.sum(1), torch.ones(len(rows)))
    before_ij = judged_ij / judged_ij.diagonal()[:, None]
    was_ij = target_ij / target_ij.diagonal()[:, None]
    torch.testing.assert_close(before_ij[~pairs_ij], was_ij[~pairs_ij])
    kept_ij = with_similarity(target_ij, pairs_ij, drawn_ij, keep=1.0)
    torch.testing.assert_close(kept_ij, target_ij)


@pytest.mark.parametrize("policy", POLICIES)
def test_two_volumes_of_a_study_are_always_positive(policy: Policy) -> None:
    first = Row("a", found("cyst|present|"), "x", "abnormal")
    second = Row("a", NOTHING, "y", "normal_stated")
    assert matrix([first, second], policy).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_integer_study_codes_equal_strings() -> None:
    by_code = targets(
        torch.tensor([4, 4, 2**62]), [1, 2, 3], [frozenset()] * 3, ["a", "b", "c"],
        ["abnormal"] * 3, "none",
    )  # fmt: skip
    assert by_code.tolist() == [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]


def test_wrong_arguments_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="Unknown false-negative policy 'soft'"):
        matrix([HEALTHY], "soft")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Unknown state 'fine'"):
        matrix([Row("a", NOTHING, "", "fine")], "none")
    with pytest.raises(ValueError, match="texts 2, states 1"):
        targets(["a"], [0], [frozenset()], ["x", "y"], ["abnormal"], "none")
    with pytest.raises(ValueError, match="not_mentioned is 'dropped'"):
        matrix([HEALTHY], "none", "dropped")  # type: ignore[arg-type]


def test_importing_the_module_leaves_torch_alone() -> None:
    code = "import sys, fvlm_data.pairing.targets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
