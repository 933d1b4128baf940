from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.identity.vault import Vault
from fvlm_data.store.tables import Store
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.groups import sample_values
from fvlm_train.evaluate.labels import read_labels
from fvlm_train.evaluate.names import FindingNames
from fvlm_train.evaluate.scoring import score_samples
from fvlm_train.evaluate.zero_shot import LabelsFile, printed, zero_shot
from fvlm_train.runs import load_run
from fvlm_train.testing import SHAPE_ZYX, TOY_FINDINGS, MemorySource, toy_sample, toy_source
from fvlm_train.training.train import train
from schemas import Link

KEY = b"k" * 32


@pytest.fixture
def run(tiny: Any, tmp_path: Path) -> Path:
    train(tiny(steps=2), toy_source(10, 0), tmp_path / "run")
    return tmp_path / "run"


def test_an_absent_anatomy_scores_zero(run: Path) -> None:
    model, config = load_run(run)
    sample = toy_sample(0, 5)
    no_liver = replace(sample, label_zyx=np.where(sample.label_zyx == 1, 0, sample.label_zyx))
    scores = score_samples(
        model, MemorySource([sample, no_liver]), TOY_FINDINGS, config, EvaluateConfig()
    )
    absent = [one for one in scores if not one.anatomy_present]
    assert {one.anatomy for one in absent} == {"liver"}
    assert len(absent) == 2
    assert all(one.score == 0 for one in absent)
    assert all(0 < one.score < 1 for one in scores if one.anatomy_present)


def test_scores_do_not_depend_on_batches_or_neighbours(run: Path) -> None:
    model, config = load_run(run)
    source = toy_source(5, 3)
    cut = MemorySource([source[0], replace(source[1], **_cut(source[1])), *source.samples[2:]])
    one, many = (
        [
            s.score
            for s in score_samples(model, cut, TOY_FINDINGS, config, EvaluateConfig(batch_size=b))
        ]
        for b in (1, 4)
    )
    assert one == pytest.approx(many, abs=1e-5)


def _cut(sample: Any) -> dict[str, Any]:
    return {"image_zyx": sample.image_zyx[:, 4:, :], "label_zyx": sample.label_zyx[:, 4:, :]}


def test_an_organ_at_the_border_is_still_scored(run: Path) -> None:
    model, config = load_run(run)
    sample = toy_sample(0, 5)
    label = np.zeros(SHAPE_ZYX, np.uint8)
    label[:, :, :6] = 1
    source = MemorySource([replace(sample, label_zyx=label)])
    scores = score_samples(model, source, TOY_FINDINGS, config, EvaluateConfig())
    assert {s.anatomy for s in scores if s.anatomy_present} == {"liver"}


def test_window_of_evaluation_may_be_another_size(run: Path) -> None:
    model, config = load_run(run)
    evaluate = EvaluateConfig(window_zyx=(9, 20, 20))
    scores = score_samples(model, toy_source(2, 0), TOY_FINDINGS, config, evaluate)
    assert all(one.anatomy_present for one in scores)


def test_softmax_of_two_prompts_over_the_temperature(run: Path) -> None:
    model, config = load_run(run)
    source = toy_source(1, 0)
    (score, *_) = score_samples(model, source, TOY_FINDINGS[:1], config, EvaluateConfig())
    prompts = TOY_FINDINGS[0].prompts
    sample = source[0]
    label = torch.from_numpy((sample.label_zyx == 1).astype(np.float32))
    tokens = torch.nn.functional.max_pool3d(label[None], (8, 16, 16)).flatten() > 0
    image = ((torch.from_numpy(sample.image_zyx).float() + 1150) / 1500).clamp(0, 1)
    masks = torch.zeros(1, 3, len(tokens), dtype=torch.bool)
    masks[0, 0] = tokens
    with torch.no_grad():
        feature = model.encode_images(image[None], masks)[0, 0]
        logits = model.encode_texts([prompts.negative, prompts.positive]) @ feature
        expected = (logits / model.temperature).softmax(0)[1]
    assert score.score == pytest.approx(float(expected), abs=1e-5)


def test_report_labels_are_true_false_or_unknown(run: Path) -> None:
    model, config = load_run(run)
    sample = toy_sample(0, 5)
    aligned = ("anatomies", "states", "signatures", "findings", "labels", "texts")
    liver_only = replace(
        sample,
        **{name: getattr(sample, name)[:1] for name in aligned}
        | {"labels": (frozenset({"liver_cyst"}),)},
    )
    scores = score_samples(
        model, MemorySource([liver_only]), TOY_FINDINGS, config, EvaluateConfig()
    )
    stated = {one.finding: one.stated for one in scores}
    assert stated == {
        "liver_cyst": True,
        "liver_calcification": False,
        "kidney_stone": None,
        "kidney_cyst": None,
        "lung_nodule": None,
    }


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "keys"))
    key = Vault.open(tmp_path / "keys").key
    store = Store.create(tmp_path / "store")
    rows = [
        Link(
            owner_kind="study",
            owner_id=f"study_9_{number:04d}",
            kind=kind,
            value_hash=link_key(kind, value, key=key),
            stated_by="series",
        )
        for number in range(4)
        for kind, value in (("study_uid", f"1.2.{number}"), ("accession", f"000{number}"))
    ]
    store.replace("links", ["series"], rows)
    return store


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", ["study_uid", "accession"])
def test_labels_file_finds_its_studies(
    store: Store, tmp_path: Path, kind: str, suffix: str
) -> None:
    keys = [f"1.2.{n}" if kind == "study_uid" else f"000{n}" for n in (0, 1, 2, 7, 3)]
    path = tmp_path / f"labels{suffix}"
    if suffix == ".csv":
        lines = [
            f"{key},liver_cyst,{p}" for key, p in zip(keys, ["1", "0", "", "1", "-1"], strict=True)
        ]
        path.write_text("\n".join([f"{kind},finding,present", *lines]))
    else:
        columns = {kind: keys, "finding": ["liver_cyst"] * 5, "present": [1, 0, None, 1, -1]}
        pq.write_table(pa.table(columns), path)
    labels = read_labels(path, store.url)
    assert labels.present == {
        ("study_9_0000", "liver_cyst"): True,
        ("study_9_0001", "liver_cyst"): False,
    }
    assert (labels.rows, labels.rows_without_study, labels.rows_unknown) == (5, 1, 2)


def test_labels_of_what_the_scan_does_not_show_are_unknown(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "study_uid,finding,present,imaged\n1.2.0,a,0,true\n1.2.1,a,0,false\n1.2.2,a,1,\n"
    )
    labels = read_labels(path, store.url)
    assert labels.present == {("study_9_0000", "a"): False}
    assert labels.rows_unknown == 2


@pytest.mark.parametrize(("absent", "negatives"), [("excluded", 3), ("zero", 4)])
def test_samples_without_the_anatomy_count_only_by_choice(
    run: Path, absent: str, negatives: int
) -> None:
    samples = [toy_sample(number, 5) for number in range(6)]
    nodule = ("liver", "kidney", "lung")
    samples = [
        replace(
            sample,
            anatomies=nodule,
            labels=(frozenset(), frozenset(), frozenset({"lung_nodule"} if n < 2 else ())),
            label_zyx=np.where(sample.label_zyx == 3, 0, sample.label_zyx)
            if n == 5
            else sample.label_zyx,
        )
        for n, sample in enumerate(samples)
    ]
    result, scores = zero_shot(
        run, MemorySource(samples), TOY_FINDINGS, EvaluateConfig(absent_anatomy=absent)
    )
    assert {(row.finding, row.positives, row.negatives) for row in result.table} == {
        ("lung_nodule", 2, negatives)
    }
    last = scores.to_pylist()[-1]
    assert (last["anatomy_present"], last["score"]) == (False, 0.0)
    assert last["label"] is (None if absent == "excluded" else False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study,finding,present\n1,a,1", "no column study_uid or accession; found study, finding"),
        ("study_uid,finding\n1.2.0,a", "no column present"),
        ("study_uid,finding,present\n1.2.0,a,maybe", "row 1, column present: expected 1, 0"),
        ("study_uid,finding,present,imaged\n1.2.0,a,1,so", "row 1, column imaged: expected 1"),
        ("study_uid,finding,present\n1.2.0,a,1\n1.2.0,a,0", "row 2 contradicts an earlier row"),
        ("study_uid,finding,present\n1,2,3,4,5", "cannot be read"),
    ],
)
def test_labels_that_cannot_be_used(store: Store, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_labels(path, store.url)
    assert "1.2.0" not in str(caught.value)


def test_without_the_vault_labels_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("study_uid,finding,present\n1.2.0,a,1")
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="external study keys cannot be matched"):
        read_labels(path, store.url)
    assert not (tmp_path / "elsewhere").exists()


def test_result_from_a_labels_file(run: Path, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "study_uid,finding,present\n" + "\n".join(f"1.2.{n},lung_nodule,{n % 2}" for n in range(4))
    )
    result, scores = zero_shot(
        run,
        toy_source(6, 9),
        TOY_FINDINGS,
        EvaluateConfig(min_positive_patients=2),
        LabelsFile(path, store.url),
    )
    assert [(row.finding, row.positives, row.negatives) for row in result.table] == [
        ("lung_nodule", 2, 2)
    ]
    assert result.macro.auc == result.table[0].auc
    assert result.label_rows == {"rows": 4, "without_study": 0, "unknown": 0}
    assert scores.num_rows == 6 * len(TOY_FINDINGS)
    assert scores["label"].null_count == scores.num_rows - 4
    assert json.loads(json.dumps(result.as_json()))["samples"] == 6
    lines = printed(result, 0.95)
    assert "lung_nodule" in lines[1]
    assert "labels file: 4 rows" in lines[-1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("study_uid,finding,present\n1.2.0,lung_nodul,1", r"did you mean lung_nodule\?"),
        ("study_uid,finding,present\n7.7.7,lung_nodule,1", "none of its 1 rows names a study"),
        ("study_uid,Lungs nodules\n1.2.0,1", "no column of a finding's name"),
        ("study_uid,Lung nodule\n1.2.0,2", "row 1, column present: expected 1, 0"),
    ],
)
def test_labels_of_others_are_refused(
    run: Path, store: Store, tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        zero_shot(
            run, toy_source(6, 9), TOY_FINDINGS, EvaluateConfig(), LabelsFile(path, store.url)
        )
    assert "1.2.0" not in str(caught.value)


def test_labels_without_one_of_the_split_are_refused(
    run: Path, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("study_uid,finding,present\n1.2.0,lung_nodule,1\n")
    with pytest.raises(InputError, match="none is of a sample and a finding that are scored"):
        zero_shot(
            run, toy_source(6, 1), TOY_FINDINGS, EvaluateConfig(), LabelsFile(path, store.url)
        )


def test_a_wide_file_gives_the_labels_of_the_long_one(
    run: Path, store: Store, tmp_path: Path
) -> None:
    wide, long = tmp_path / "wide.csv", tmp_path / "long.csv"
    wide.write_text(
        "AccessionNumber,Lung nodule,Renal stone,Age\n0000,1,0,60\n0001,0,-1,70\n0002,1,,80\n"
    )
    long.write_text(
        "accession,finding,present\n0000,lung_nodule,1\n0000,kidney_stone,0\n"
        "0001,lung_nodule,0\n0002,lung_nodule,1\n"
    )
    names = FindingNames(TOY_FINDINGS)
    one, other = (read_labels(path, store.url, None, names) for path in (wide, long))
    assert one.present == other.present
    assert one.ignored == ("Age",)
    assert (one.rows, one.rows_unknown) == (3, 2)


def test_findings_that_cannot_be_scored_are_listed(run: Path, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    lines = [f"1.2.{n},lung_nodule,{n % 2}\n1.2.{n},liver_cyst,0" for n in range(4)]
    path.write_text("study_uid,finding,present\n" + "\n".join(lines))
    config = EvaluateConfig(min_positive_patients=2)
    result, _ = zero_shot(run, toy_source(6, 9), TOY_FINDINGS, config, LabelsFile(path, store.url))
    why = {one.finding: one.why for one in result.unscored}
    assert why["liver_cyst"] == "no sample is positive"
    assert why["kidney_stone"] == "no sample has a label"
    assert "nan" not in "\n".join(printed(result, 0.95)).lower()
    assert "not scored: liver_cyst (liver): no sample is positive, 0 positive, 4" in "\n".join(
        printed(result, 0.95)
    )


def test_groups_come_with_their_counts(run: Path) -> None:
    source = toy_source(12, 9)
    facts = [
        ("sex", ["F", "M", None] * 4), ("age_years", [17.0, 40.0, 90.0, None] * 3),
        ("volume_id", [str(n) for n in range(12)]),
    ]  # fmt: skip
    for name, values in facts:
        source.rows = source.rows.append_column(name, pa.array(values))
    values_of = sample_values(source, "no-store", ["sex", "age", "contrast"])
    config = EvaluateConfig(min_positive_patients=1)
    result, _ = zero_shot(run, source, TOY_FINDINGS, config, values=values_of)
    counts = {(one.attribute, one.value): (one.samples, one.patients) for one in result.groups}
    assert counts == {
        ("sex", "F"): (4, 4), ("sex", "M"): (4, 4), ("sex", "unknown"): (4, 4),
        ("age", "below 18"): (3, 3), ("age", "40 to 59"): (3, 3),
        ("age", "80 and above"): (3, 3), ("age", "unknown"): (3, 3),
        ("contrast", "unknown"): (12, 12),
    }  # fmt: skip
    assert any(one.macro.auc is not None for one in result.groups)


def test_thresholds_come_from_other_samples(run: Path) -> None:
    config = EvaluateConfig(min_positive_patients=1)
    result, _ = zero_shot(
        run, toy_source(12, 9), TOY_FINDINGS, config, validation=toy_source(30, 4)
    )
    assert result.validated
    alone, _ = zero_shot(run, toy_source(12, 9), TOY_FINDINGS, config)
    assert not alone.validated
    assert "No threshold is from validation data" in "\n".join(printed(alone, 0.95))
    assert [row.auc for row in alone.table] == [row.auc for row in result.table]


def test_several_templates_are_averaged(run: Path) -> None:
    """A template that says what the prompts say changes nothing; another does."""
    model, config = load_run(run)
    source = toy_source(3, 0)

    def scored(**over: Any) -> list[float]:
        evaluate = EvaluateConfig.model_validate(over)
        return [s.score for s in score_samples(model, source, TOY_FINDINGS, config, evaluate)]

    plain = scored()
    same = scored(templates=[{"positive": "{finding}.", "negative": "not {finding}."}])
    assert same == pytest.approx(plain, abs=1e-6)
    other = {"positive": "There is a {finding}.", "negative": "There is no {finding}."}
    assert scored(templates=[other]) != pytest.approx(plain, abs=1e-6)
    for wrong in ("no place", "{finding} and {more}"):
        with pytest.raises(ValueError, match="no other brace"):
            scored(templates=[{"positive": wrong, "negative": "{finding}"}])


@pytest.mark.parametrize("how", ["setting", "weights"])
def test_a_checkpoint_of_another_configuration_is_named(run: Path, how: str) -> None:
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    if how == "setting":
        settings = json.loads(content["config"])
        content["config"] = json.dumps(settings | {"of_another_version": 1})
    else:
        content["model"]["temperature"] = torch.zeros(3)
    torch.save(content, run / "checkpoint.pt")
    told = "made with another one" if how == "setting" else "its weights fit not"
    with pytest.raises(InputError, match=told):
        load_run(run)


def test_a_model_that_was_not_finished_is_told(tiny: Any, tmp_path: Path) -> None:
    train(tiny(steps=9, time_limit_s=1e-6), toy_source(10, 0), tmp_path)
    result, _ = zero_shot(tmp_path, toy_source(4, 3), TOY_FINDINGS, EvaluateConfig())
    assert "The model is that of step 1 of 9" in "\n".join(printed(result, 0.95))


def test_nothing_to_evaluate_is_said(run: Path) -> None:
    with pytest.raises(ConfigError, match="split to evaluate holds no samples"):
        zero_shot(run, MemorySource([]), TOY_FINDINGS, EvaluateConfig())
    elsewhere = [replace(TOY_FINDINGS[0], anatomy="brain")]
    with pytest.raises(ConfigError, match="no finding of the vocabulary lies in its anatomies"):
        zero_shot(run, toy_source(1, 0), elsewhere, EvaluateConfig())


@pytest.mark.full
def test_a_small_model_learns_to_name_lesions(tiny: Any, tmp_path: Path) -> None:
    """Organ blobs with lesions of other density, and sentences that name them."""
    from fvlm_train.config import parse_evaluate_config, parse_train_config

    config = parse_train_config(
        {
            "preset": "small",
            "anatomies": ["liver", "kidney", "lung"],
            "threads": 1,
            "steps": 200,
            "model": {"image": {"window_zyx": [24, 48, 48]}},
        }
    )
    train(config, toy_source(160, 0), tmp_path / "run")
    result, _ = zero_shot(
        tmp_path / "run",
        toy_source(80, 77),
        TOY_FINDINGS,
        parse_evaluate_config({"preset": "small"}),
    )
    assert result.macro.auc is not None
    assert result.macro.auc > 0.8
