from __future__ import annotations

import datetime as dt
import sqlite3
import stat
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.errors import ConfigError, StoreError
from fvlm_data.identity.ids import file_token, fraction, keyed_id, link_key, shifted_date
from fvlm_data.identity.vault import Vault, default_vault_folder

KEY = bytes(range(32))
OTHER = bytes(32)


def test_ids_are_pinned():
    """A change here gives every store other ids: it needs a new version of the tables."""
    assert keyed_id(KEY, "p", "one") == "p_db6b5fab14b8b13a21a3"
    assert link_key("accession", "A 1", key=KEY).startswith("00a5e8a7e029c0af2727")


def test_ids_depend_on_key_kind_and_every_part():
    made = [
        keyed_id(KEY, "p", "a", "b"),
        keyed_id(OTHER, "p", "a", "b"),
        keyed_id(KEY, "st", "a", "b"),
        keyed_id(KEY, "p", "b", "a"),
        keyed_id(KEY, "p", "ab"),
        keyed_id(KEY, "p", "a"),
    ]
    assert len({i.split("_")[1] for i in made}) == len(made)
    assert keyed_id(KEY, "p", "a", "b") == made[0]


def test_file_name_that_is_no_utf8_has_an_id():
    assert keyed_id(KEY, "f", "scans/M\udcfcller.dcm") != keyed_id(KEY, "f", "scans/Muller.dcm")


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("accession", "ABC 1", "  abc \t 1\n"),
        ("accession", "ABC1\x00", "abc1"),
        ("accession", "\uff21\uff22\uff11", "ab1"),
        ("patient_id", "Müller", unicodedata.normalize("NFD", "MÜLLER")),
        ("patient_id", "STRASSE", "straße"),
        ("volume_name", "train_1_a_1.nii.gz", "train_1_a_1"),
        ("volume_name", "train_1_a_1.nii", "TRAIN_1_A_1.NII.GZ"),
        ("volume_name", "data/train/train_1_a_1.nii.gz", "train_1_a_1"),
        ("volume_name", "data\\train\\train_1_a_1.nii.gz", "train_1_a_1"),
    ],
)
def test_link_keys_of_the_same_name_agree(kind: str, one: str, other: str):
    assert link_key(kind, one, key=KEY) == link_key(kind, other, key=KEY)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("accession", "007", "7"),
        ("accession", "a b", "ab"),
        ("accession", "x.nii.gz", "x"),
        ("volume_name", "train_1_a_1.gz", "train_1_a_1"),
        ("volume_name", "train_1_a_1", "train_1_a_2"),
        ("study_uid", "1.2.30", "1.2.3"),
    ],
)
def test_link_keys_of_different_names_differ(kind: str, one: str, other: str):
    assert link_key(kind, one, key=KEY) != link_key(kind, other, key=KEY)


def test_link_keys_depend_on_kind_issuer_and_key():
    made = {
        link_key("accession", "1", key=KEY),
        link_key("patient_id", "1", key=KEY),
        link_key("accession", "1", "hospital", key=KEY),
        link_key("accession", "1", key=OTHER),
    }
    assert len(made) == 4
    assert link_key("accession", "1", " HOSPITAL ", key=KEY) in made
    assert link_key("accession", "1", "", key=KEY) in made


@given(st.text(min_size=1))
def test_normalising_twice_changes_nothing(text: str):
    folded = " ".join(unicodedata.normalize("NFKC", text).replace("\x00", " ").casefold().split())
    if folded:
        assert link_key("accession", text, key=KEY) == link_key("accession", folded, key=KEY)


@pytest.mark.parametrize(
    ("kind", "value"), [("accession", " \x00\t"), ("volume_name", "folder/"), ("volume_name", "")]
)
def test_blank_name_is_refused_without_quoting(kind: str, value: str):
    with pytest.raises(ConfigError, match=f"link {kind}: the value is blank"):
        link_key(kind, value, key=KEY)


def test_link_key_without_a_key_opens_the_vault_of_the_environment(
    vault_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    made = link_key("accession", "1")
    assert made == link_key("accession", "1", key=Vault.open(vault_folder).key)
    monkeypatch.delenv("FVLM_VAULT")
    with pytest.raises(ConfigError, match="FVLM_VAULT is not set; name the vault of the store"):
        link_key("accession", "1")


@given(st.dates(dt.date(1950, 1, 1)), st.dates(dt.date(1950, 1, 1)), st.text())
def test_shifted_dates_keep_their_intervals(one: dt.date, other: dt.date, patient: str):
    moved = [dt.date.fromisoformat(shifted_date(KEY, patient, date)) for date in (one, other)]
    assert moved[1] - moved[0] == other - one
    assert 1 <= (one - moved[0]).days <= 3650


def test_patients_are_shifted_differently():
    day = dt.date(2020, 2, 29)
    assert len({shifted_date(KEY, f"p_{n}", day) for n in range(50)}) > 40


def test_fractions_are_spread_evenly():
    drawn = [fraction(KEY, "split", str(number)) for number in range(4000)]
    assert min(drawn) >= 0
    assert max(drawn) < 1
    for step in range(10):
        share = sum(step / 10 <= value < (step + 1) / 10 for value in drawn) / len(drawn)
        assert abs(share - 0.1) < 0.025


def test_source_files_are_tokens_or_plain():
    token = file_token(KEY, "token", "scans", "Doe/1.dcm")
    assert token.startswith("f_")
    assert "Doe" not in token
    assert token != file_token(KEY, "token", "other", "Doe/1.dcm")
    assert file_token(KEY, "plain", "scans", "Doe/1.dcm") == "scans/Doe/1.dcm"


def test_vault_may_be_read_by_its_keeper_only(vault_folder: Path):
    vault = Vault.open(vault_folder)
    vault.remember_files({"f_1": "Doe/1.dcm"})
    assert stat.S_IMODE(vault_folder.stat().st_mode) == 0o700
    for file in vault_folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_vault_gives_back_what_it_was_given(vault_folder: Path):
    vault = Vault.open(vault_folder)
    vault.remember_files({"f_1": "Doe/1.dcm", "f_2": "M\udcfcller.dcm"})
    vault.remember_patient("p_1", ["DOE^JANE", "19700101", " "])
    vault.remember_patient("p_1", ["DOE", "DOE^JANE"])
    vault.remember_reports({"r_1": {"findings": "Jane Doe has a cyst."}})
    again = Vault.open(vault_folder)
    assert again.key == vault.key
    assert again.file_paths(["f_1", "f_2", "f_9"]) == {"f_1": "Doe/1.dcm", "f_2": "M\udcfcller.dcm"}
    assert again.patient_identities(["p_1", "p_9"]) == {"p_1": ["19700101", "DOE", "DOE^JANE"]}
    assert again.reports(["r_1", "r_9"]) == {"r_1": {"findings": "Jane Doe has a cyst."}}


def test_contents_of_the_vault_are_encrypted(vault_folder: Path):
    vault = Vault.open(vault_folder)
    vault.remember_files({"f_1": "PLANTEDNAME/1.dcm"})
    vault.remember_patient("p_1", ["PLANTEDNAME"])
    vault.remember_reports({"r_1": {"findings": "PLANTEDNAME has a cyst."}})
    for file in vault_folder.iterdir():
        assert b"PLANTEDNAME" not in file.read_bytes()


def test_two_processes_that_make_a_vault_at_once_end_with_one_key(vault_folder: Path):
    script = (
        "import sys; from pathlib import Path; from fvlm_data.identity.vault import Vault; "
        "vault = Vault.open(Path(sys.argv[1])); vault.remember_files({sys.argv[2]: 'x'}); "
        "print(vault.key.hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(vault_folder), name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("f_1", "f_2")
    ]
    keys = {process.communicate(timeout=60)[0].strip() for process in started}
    vault = Vault.open(vault_folder)
    assert keys == {vault.key.hex()}
    assert len(vault.file_paths(["f_1", "f_2"])) == 2
    assert sorted(file.name for file in vault_folder.iterdir()) == ["key", "vault.sqlite"]


@pytest.mark.parametrize("text", ["", "abc", "z" * 64, "\xff" * 64])
def test_damaged_key_is_told_and_not_replaced(vault_folder: Path, text: str):
    Vault.open(vault_folder)
    (vault_folder / "key").write_text(text, encoding="latin-1")
    with pytest.raises(StoreError, match="restore the file from a backup"):
        Vault.open(vault_folder)
    assert (vault_folder / "key").read_text(encoding="latin-1") == text


def test_contents_of_another_key_are_told(vault_folder: Path):
    Vault.open(vault_folder).remember_files({"f_1": "x"})
    (vault_folder / "key").write_text("ab" * 32)
    with pytest.raises(StoreError, match="written under another key"):
        Vault.open(vault_folder).file_paths(["f_1"])


def test_damaged_database_is_told(vault_folder: Path):
    Vault.open(vault_folder)
    (vault_folder / "vault.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"vault .* cannot be read or written"):
        Vault.open(vault_folder)


def test_full_disk_under_the_vault_is_one_sentence(
    vault_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    vault = Vault.open(vault_folder)

    def full(*args: object, **options: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(StoreError, match=r"disk is full.*run again"):
        vault.remember_files({"f_1": "x"})


def test_place_that_cannot_hold_a_vault_is_told(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"vault .*: cannot be opened .* set identity.vault"):
        Vault.open(tmp_path / "file" / "vault")


def test_every_store_has_a_vault_of_its_own_unless_one_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "named"))
    assert default_vault_folder("s1") == tmp_path / "named"
    monkeypatch.delenv("FVLM_VAULT")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_vault_folder("s1") == tmp_path / "data" / "fvlm" / "vaults" / "s1"
    assert default_vault_folder("s1") != default_vault_folder("s2")
