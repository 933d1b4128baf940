"""The soft target matrix: hand-made cases, and laws against a plain loop."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.pairing.targets import (
    DEFAULT_NOT_MENTIONED,
    POLICIES,
    STATES,
    NotMentioned,
    Policy,
    targets,
)


@dataclass(frozen=True, slots=True)
class Row:
    study: str
    signature: int
    text: str
    state: str


def matrix(rows: list[Row], policy: Policy, silence: NotMentioned | None = None) -> torch.Tensor:
    return targets(
        [row.study for row in rows],
        torch.tensor([row.signature for row in rows], dtype=torch.int64),
        [frozenset({str(row.signature)}) for row in rows],
        [row.text for row in rows],
        [row.state for row in rows],
        policy,
        not_mentioned=silence,
    )


def plain_loop(rows: list[Row], policy: Policy, silence: NotMentioned | None) -> list[list[float]]:
    silence = silence or DEFAULT_NOT_MENTIONED[policy]
    result = []
    for one in rows:
        row = []
        for other in rows:
            positive = one.study == other.study
            normal = 0
            for sample in (one, other):
                if sample.state == "normal_stated":
                    normal += 1
                if sample.state == "not_mentioned" and silence == "normal":
                    normal += 1
            if policy in ("reference", "signature") and normal == 2:
                positive = True
            if policy == "reference" and one.text == other.text:
                positive = True
            abnormal = one.state == "abnormal" and other.state == "abnormal"
            if policy == "signature" and abnormal and one.signature == other.signature:
                positive = True
            row.append(float(positive))
        total = sum(row)
        result.append([value / total for value in row])
    return result


rows_of_a_batch = st.lists(
    st.builds(
        Row,
        study=st.sampled_from(["s1", "s2", "s3", "s4"]),
        signature=st.sampled_from([-(2**63), -1, 0, 7, 2**63 - 1]),
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
    positive_ij = target_ij > 0
    assert torch.equal(positive_ij, positive_ij.T)
    assert positive_ij.diagonal().all()


@settings(deadline=None)
@given(rows_of_a_batch, policies, treatments, st.randoms(use_true_random=False))
def test_reordering_the_batch_reorders_the_matrix(
    rows: list[Row], policy: Policy, silence: NotMentioned | None, random: object
) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = matrix([rows[i] for i in order], policy, silence)
    torch.testing.assert_close(shuffled, matrix(rows, policy, silence)[order][:, order])


HEALTHY = Row("a", 0, "Liver is normal.", "normal_stated")
ALSO_HEALTHY = Row("b", 0, "The liver is unremarkable.", "normal_stated")
SILENT = Row("c", 0, "", "not_mentioned")
CYST = Row("d", 5, "A hepatic cyst.", "abnormal")
SAME_CYST = Row("e", 5, "Cyst in the liver.", "abnormal")
OTHER = Row("f", 9, "A hepatic cyst.", "abnormal")


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
        ("signature", HEALTHY, Row("g", 0, "x", "abnormal"), False),
    ],
)
def test_pairs_worked_out_by_hand(policy: Policy, one: Row, other: Row, positive: bool) -> None:
    assert bool(matrix([one, other], policy)[0, 1] > 0) is positive


@pytest.mark.parametrize("policy", POLICIES)
def test_two_volumes_of_a_study_are_always_positive(policy: Policy) -> None:
    first = Row("a", 1, "x", "abnormal")
    second = Row("a", 2, "y", "normal_stated")
    assert matrix([first, second], policy).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_integer_study_codes_equal_strings() -> None:
    by_code = targets(
        torch.tensor([4, 4, 2**62]), [1, 2, 3], [frozenset()] * 3, ["a", "b", "c"],
        ["abnormal"] * 3, "none",
    )  # fmt: skip
    assert by_code.tolist() == [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]


def test_wrong_arguments_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="Unknown false-negative policy 'graded'"):
        matrix([HEALTHY], "graded")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Unknown state 'fine'"):
        matrix([Row("a", 0, "", "fine")], "none")
    with pytest.raises(ValueError, match="texts 2, states 1"):
        targets(["a"], [0], [frozenset()], ["x", "y"], ["abnormal"], "none")
    with pytest.raises(ValueError, match="not_mentioned is 'dropped'"):
        matrix([HEALTHY], "none", "dropped")  # type: ignore[arg-type]


def test_importing_the_module_leaves_torch_alone() -> None:
    code = "import sys, fvlm_data.pairing.targets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
