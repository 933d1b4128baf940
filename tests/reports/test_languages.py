"""Archives whose reports are in several languages: each is read by the vocabulary of its own."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.reports.language.choice import LanguageChoice
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabularies, Vocabulary
from fvlm_data.vocabulary.config import VocabularyConfig
from tests.reports.driven import made, ran, remade, stages
from tests.reports.lots import lot

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.store.declared import Context

THREE = Vocabularies.load("en", ("de", "tr"))
TEXTS = {
    "en": "FINDINGS: 8 mm nodule in the right upper lobe. No pleural effusion. IMPRESSION: Nodule.",
    "de": "Befund: Rundherd im rechten Oberlappen, 8 mm. Kein Pleuraerguss. Beurteilung: Rundherd.",
    "tr": "BULGULAR: Sağ akciğer üst lobda 8 mm nodül izlendi. Plevral efüzyon yok. SONUÇ: Nodül.",
    "fr": "Résultats: Nodule du poumon droit de 8 mm. Pas d'épanchement pleural, sans anomalie.",
}


def write(path: Path, texts: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerows([("volume_name", "report"), *((f"{k}.nii.gz", v) for k, v in texts.items())])
    return path


def languages_of(context: Context) -> list[str]:
    return sorted(row["language"] for row in context.store.read("reports").to_pylist())


ENGLISH = ("sixth_lot.json", "seventh_lot.json")


@pytest.mark.parametrize(
    ("names", "code", "missed"),
    [(("german.json",), "de", 2), (("turkish.json",), "tr", 0), (ENGLISH, None, 1)],
)
def test_reports_of_the_sets_by_hand_are_told_by_their_words(
    names: tuple[str, ...], code: str | None, missed: int
):
    choice = LanguageChoice(THREE)
    texts = [one["text"] for name in names for one in lot(name)]
    wrong = [text for text in texts if choice.of(text) != code]
    # two Latin names, and a form of English words that Turkish has too
    assert len(wrong) <= missed, wrong


@pytest.mark.parametrize("own", ["en", "de", "tr"])
def test_the_choice_does_not_hang_on_which_language_is_the_stores(own: str):
    further = tuple(sorted({"en", "de", "tr"} - {own}))
    choice = LanguageChoice(Vocabularies.load(own, further))
    for code in ("en", "de", "tr"):
        assert (choice.of(TEXTS[code]) or own) == code
        assert (choice.of(TEXTS[code].upper()) or own) == code
    assert choice.of("") is None
    assert choice.of("8 mm.") is None


def test_each_report_is_read_in_its_language_and_others_are_set_aside(tmp_path: Path):
    file = write(tmp_path / "r.csv", TEXTS)
    context = ran(made(tmp_path, {"path": file}, languages=("en", "de", "tr")))
    assert languages_of(context) == ["de", "en", "tr"]
    by_report: dict[str, set[tuple[Any, ...]]] = {}
    for row in context.store.read("findings").to_pylist():
        told = (row["finding"], row["status"], row["laterality"], row["size_mm"])
        by_report.setdefault(row["report_id"], set()).add(told)
    english, *others = by_report.values()
    assert ("lung_nodule", "present", "right", 8.0) in english
    assert ("pleural_effusion", "absent", None, None) in english
    assert all(other == english for other in others)
    assert len(others) == 2
    (set_aside,) = context.store.read("quarantine").to_pylist()
    assert set_aside["reason"] == "language_not_covered"
    assert "fr" in set_aside["detail"]
    assert "vocabulary.languages" in set_aside["detail"]


def test_a_language_that_is_added_remakes_its_own_reports_alone(tmp_path: Path):
    file = write(tmp_path / "r.csv", TEXTS)
    context = ran(made(tmp_path, {"path": file}, languages=("en", "de")))
    assert languages_of(context) == ["de", "en"]
    _, versions, reports = stages(made(tmp_path, {"path": file}, languages=("en", "de", "tr")))
    remade(context, versions)
    (again,) = remade(context, reports)
    (added,) = [row for row in context.store.read("reports").to_pylist() if row["language"] == "tr"]
    assert again == added["report_id"]
    assert languages_of(context) == ["de", "en", "tr"]


def test_several_languages_leave_the_keys_of_the_stores_own(tmp_path: Path):
    file = write(tmp_path / "r.csv", {"en": TEXTS["en"], "de": TEXTS["de"]})
    context = ran(made(tmp_path, {"path": file}))
    assert languages_of(context) == ["en"]
    _, versions, reports = stages(made(tmp_path, {"path": file}, languages=("en", "de")))
    remade(context, versions)
    assert len(remade(context, reports)) == 1
    assert languages_of(context) == ["de", "en"]
    # and back: the German report is of no vocabulary any more
    _, versions, reports = stages(made(tmp_path, {"path": file}))
    remade(context, versions)
    assert len(remade(context, reports)) == 1
    assert languages_of(context) == ["en"]


def test_names_are_taken_out_by_the_words_of_the_reports_language(tmp_path: Path):
    texts = {
        "de": "Befund: Kein Pleuraerguss rechts. Elektronisch signiert von: Dr. Hans Schmidt",
        "tr": "BULGULAR: Plevral efüzyon izlenmedi. Raporlayan: Uzm. Dr. Ayşe Demir",
    }
    file = write(tmp_path / "r.csv", texts)
    context = ran(made(tmp_path, {"path": file}, languages=("en", "de", "tr")))
    told = " ".join(context.store.read("reports")["text"].to_pylist())
    assert told.count("[NAME]") == 2
    assert not {"Schmidt", "Demir", "Hans", "Ayşe"} & set(told.replace(":", " ").split())


def test_a_correction_is_told_by_the_words_of_its_language(tmp_path: Path):
    rows = [
        ("study_uid", "report", "issued"),
        ("1", "Befund: Kein Pleuraerguss. Rundherd im rechten Oberlappen.", "2024-01-01"),
        ("1", "Korrigierter Befund: Kein Pleuraerguss. Kein Rundherd.", "2024-01-02"),
    ]
    with (tmp_path / "r.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(rows)
    context = ran(made(tmp_path, {"path": tmp_path / "r.csv"}, languages=("en", "de")))
    (kept,) = context.store.read("reports").to_pylist()
    assert "Kein Rundherd" in kept["text"]
    (reason,) = context.store.read("quarantine")["reason"].to_pylist()
    assert reason == "corrected_report"


def test_a_german_an_english_and_a_turkish_report_of_one_finding_pair(tmp_path: Path):
    image_ijk = np.full((48, 48, 24), -1000, np.int16)
    image_ijk[8:40, 8:40, 2:22] = 40
    image_ijk[14:22, 14:34, 4:20] = image_ijk[26:34, 14:34, 4:20] = -800
    image_ijk[22:26, 30:34, 2:22] = 500
    (tmp_path / "chests").mkdir()
    for number, code in enumerate(("de", "en", "tr")):
        noise = np.random.default_rng(number).integers(-20, 20, image_ijk.shape)
        volume = nib.Nifti1Image(
            (image_ijk + noise).astype(np.int16), np.diag([-6.0, -6.0, 8.0, 1.0])
        )
        nib.save(volume, tmp_path / "chests" / f"{code}.nii.gz")
    write(tmp_path / "reports.csv", TEXTS)
    values = {
        "store": str(tmp_path / "store"),
        "identity": {"vault": str(tmp_path / "vault")},
        "vocabulary": {"language": "en", "languages": ["en", "de", "tr"]},
        "sources": [{"kind": "nifti", "path": str(tmp_path / "chests"), "name": "chests"}],
        "reports": [{"path": str(tmp_path / "reports.csv")}],
        "segment": {"backend": "threshold"},
        "qc": {"enabled": False},
        "pair": {"signature": {"lobe": True}},
        "shard": {"spacing_mm": [12.0, 12.0, 12.0], "dtype": "uint8"},
    }
    curate(load_config(None, (), values))
    store = Store.open(tmp_path / "store")
    texts = store.read("anatomy_texts").to_pylist()
    lungs = [row for row in texts if row["anatomy"] == "lung"]
    assert len({row["signature"] for row in lungs}) == 1
    assert [row["findings"] for row in lungs] == [["lung_nodule|present|right|upper"]] * 3
    livers = sorted(row["text"] for row in texts if row["anatomy"] == "liver")
    assert livers == [
        "Leber: kein wesentlicher pathologischer Befund.",
        "karaciğer: belirgin patolojik bulgu saptanmadı.",
        "liver shows no significant abnormalities.",
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"language": "en", "languages": ["de", "tr"]}, "'en' .* is not among them"),
        ({"languages": ["en", "de", "de"]}, "one stands twice"),
        ({"languages": ["en", "D"]}, "pattern"),
    ],
)
def test_languages_that_cannot_be_meant_are_refused(values: dict[str, Any], told: str):
    with pytest.raises(ValueError, match=told):
        VocabularyConfig.model_validate(values)


def test_a_language_that_is_not_built_in_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="'xx' is not built in"):
        VocabularyConfig(languages=("en", "xx")).load_all()


def test_a_further_language_takes_the_folder_of_its_name(tmp_path: Path):
    (tmp_path / "de").mkdir()
    (tmp_path / "cues.yaml").write_text("normal: {add: [hale]}\n")
    (tmp_path / "de" / "cues.yaml").write_text("normal: {add: [pumperlgesund]}\n")
    made = VocabularyConfig(languages=("en", "de"), overlay=tmp_path).load_all()
    assert "hale" in made.own.cues.normal
    assert "pumperlgesund" in made.of("de").cues.normal
    assert "hale" not in made.of("de").cues.normal
    assert made.of(None) == made.of("en") == made.own == Vocabulary.load("en", tmp_path)
    with pytest.raises(ConfigError, match=r"'tr', which is not among them \(there are en, de\)"):
        made.of("tr")


def test_a_finding_that_the_stores_own_language_lacks_is_refused(tmp_path: Path):
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "findings.yaml").write_text(
        "findings:\n  - id: kropf\n    name: Kropf\n    anatomy: thyroid\n    synonyms: [kropf]\n"
        '    prompts: {positive: "Kropf.", negative: "Kein Kropf."}\n'
    )
    with pytest.raises(ConfigError, match="'de' has the finding 'kropf', which 'en'"):
        VocabularyConfig(languages=("en", "de"), overlay=tmp_path).load_all()
