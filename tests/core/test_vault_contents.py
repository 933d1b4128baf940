"""The vault's two engines keep the same; PostgreSQL's address is told by nothing."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from fvlm_data.errors import StoreError
from fvlm_data.identity import rotation
from fvlm_data.identity.backup import back_up, restore
from fvlm_data.identity.rotation import rotate
from fvlm_data.identity.secret import contents_keys, write_contents_keys
from fvlm_data.identity.vault import Vault
from tests.lacking import lacking
from tests.servers import postgres

NAMES = [f"Name^{number}" for number in range(12)]
SECRET = "hunter2"


def needs_psycopg() -> None:
    if find_spec("psycopg") is None:
        lacking("the extra [postgres] is not installed", "servers")


def named(folder: Path, address: str) -> Path:
    """A vault's folder whose contents lie on a server."""
    folder.mkdir()
    (folder / "database").write_text(f"{address}\n")
    return folder


def filled(vault: Vault) -> Vault:
    vault.remember_files({f"f_{number}": f"a/b % ? {number}" for number in range(3)})
    with ThreadPoolExecutor(4) as pool:  # none may lose the names of another
        list(pool.map(lambda name: vault.remember_patient("p_1", [name]), NAMES))
    vault.remember_reports({"r_1": {"text": "lone \ud800 surrogate"}})
    vault.keep_note("record:x", "kept")
    vault.keep_note("plain", "not in a backup")
    return vault


def told(vault: Vault) -> tuple[object, ...]:
    """All that a vault knows."""
    return (
        vault.file_paths(["f_0", "f_2", "f_9"]),
        vault.unknown_files(["f_0", "f_9"]),
        {patient: sorted(names) for patient, names in vault.patient_identities(["p_1"]).items()},
        vault.reports(["r_1"]),
        vault.notes(),
        vault.extent(),
    )


def check(vault: Vault) -> None:
    """What holds for a vault of any engine."""
    filled(vault)
    assert vault.patient_identities(["p_1"]) == {"p_1": sorted(NAMES)}
    assert vault.file_paths(["f_2"]) == {"f_2": "a/b % ? 2"}
    vault.remember_forgotten(["f_1", "p_2"], "wait", "g")
    assert vault.erase(["f_1", "nothing"]) == {"files": 1, "patients": 0, "reports": 0}
    vault.remember_files({"f_1": "again"})
    vault.remember_patient("p_2", ["Nobody"])
    assert vault.unknown_files(["f_1"]) == {"f_1"}
    assert vault.unknown_patients(["p_2"]) == {"p_2"}
    vault.lift(["f_1"])
    vault.remember_files({"f_1": "again"})
    assert vault.file_paths(["f_1"]) == {"f_1": "again"}
    vault.drop_note("plain")
    assert vault.notes() == {"record:x": "kept"}
    assert all(type(number) is int for number in vault.extent().values())


def test_sqlite(tmp_path: Path):
    check(Vault.open(tmp_path / "vault"))


def test_a_backup_is_of_one_moment_and_holds_all(tmp_path: Path):
    vault = filled(Vault.open(tmp_path / "vault"))
    back_up(vault, tmp_path / "copy")
    assert told(Vault.open(tmp_path / "copy")) == told(vault)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "copy").iterdir()}
    assert modes == {"contents.key": 0o600, "key": 0o600, "vault.sqlite": 0o600}


def check_rotation(vault: Vault, folder: Path) -> None:
    """Contents change their key, and are all there; a copy of before is told apart and joined."""
    known, key = told(vault), vault.key
    old = contents_keys(vault.folder)
    back_up(vault, folder / "before")
    assert rotate(vault) == 3 + 1 + 1 + 2
    (fresh,) = contents_keys(vault.folder)
    assert fresh not in old
    again = Vault.open(vault.folder)
    assert again.key == key
    assert told(again) == known
    write_contents_keys(vault.folder, old)  # the old key opens nothing any more
    with pytest.raises(StoreError, match=r"written under another key.*contents\.key"):
        Vault.open(vault.folder).file_paths(["f_0"])
    write_contents_keys(vault.folder, [fresh])
    again.erase(["f_0", "r_1"])
    restore(folder / "before", vault.folder)
    assert told(Vault.open(vault.folder)) == known


def test_keys_of_contents_rotate_and_ids_stay(tmp_path: Path):
    check_rotation(filled(Vault.open(tmp_path / "vault")), tmp_path)


def test_a_rotation_that_was_killed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    vault = filled(Vault.open(tmp_path / "vault"))
    known = told(vault)
    real = rotation._anew

    def killed(vault: Vault, table: str) -> int:
        if table == "reports":
            raise KeyboardInterrupt
        return real(vault, table)

    monkeypatch.setattr(rotation, "_anew", killed)
    with pytest.raises(KeyboardInterrupt):
        rotate(vault)
    assert len(contents_keys(vault.folder)) == 2
    assert told(Vault.open(vault.folder)) == known
    monkeypatch.undo()
    rotate(Vault.open(vault.folder))
    assert len(contents_keys(vault.folder)) == 1
    assert told(Vault.open(vault.folder)) == known
    (vault.folder / "contents.key").write_text("ab" * 31)
    with pytest.raises(StoreError, match=r"expected lines of 64 hexadecimal digits"):
        Vault.open(vault.folder).note("plain")


def test_a_server_that_does_not_answer_is_told_without_its_address(tmp_path: Path):
    needs_psycopg()
    folder = named(tmp_path / "vault", f"postgresql://someone:{SECRET}@127.0.0.1:1/vault")
    vault = Vault.open(folder)  # who needs the key alone opens no connection
    assert len(vault.key) == 32
    assert SECRET.encode() not in pickle.dumps(vault)
    for address in (None, f"postgresql://someone:{SECRET}@[nonsense"):
        if address is not None:
            (folder / "database").write_text(address)
        with pytest.raises(StoreError, match=r"its PostgreSQL cannot be read or written") as found:
            vault.file_paths(["f_1"])
        assert SECRET not in str(found.value)
        assert found.value.__cause__ is None
        assert found.value.__suppress_context__


@pytest.mark.full
def test_postgres_keeps_what_sqlite_keeps(tmp_path: Path):
    needs_psycopg()
    with postgres(tmp_path) as place:
        address = f"postgresql:{place}"
        check(Vault.open(named(tmp_path / "first", address)))
        # a second vault in the same database shares nothing: its key is another
        second = Vault.open(named(tmp_path / "second", address))
        assert second.extent() == {"patients": 0, "name_bytes": 0, "files": 0, "reports": 0}
        filled(second)
        check_rotation(second, tmp_path)
        back_up(second, tmp_path / "copy")
        assert not (tmp_path / "copy" / "database").exists()
        assert told(Vault.open(tmp_path / "copy")) == told(second)
        # a vault moves: the backup of a file becomes that of a server, under the same key
        file = filled(Vault.open(tmp_path / "file"))
        back_up(file, tmp_path / "of_file")
        restore(tmp_path / "of_file", named(tmp_path / "moved", address))
        moved = Vault.open(tmp_path / "moved")
        assert moved.key == file.key
        assert not (tmp_path / "moved" / "vault.sqlite").exists()
        assert moved.notes() == {"record:x": "kept"}
        assert told(moved)[:4] == told(file)[:4]
