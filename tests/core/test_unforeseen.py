"""An error that nobody foresaw is told by type and place, in every command and thread."""

from __future__ import annotations

import threading

import pytest

from fvlm_data.cli import main as data
from fvlm_data.cli.unforeseen import text_withheld
from fvlm_train import cli as train


def fails() -> None:
    try:
        {}["Mustermann"]
    except KeyError as error:
        raise ValueError("bad header of Mustermann, born 19300215") from error


@pytest.mark.parametrize(
    ("module", "app", "entry"),
    [(data, "app", "main"), (train, "train_app", "train_main"), (train, "eval_app", "eval_main")],
)
def test_a_command_tells_type_and_place(
    module: object,
    app: str,
    entry: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(module, app, fails)
    with pytest.raises(SystemExit) as ended:
        getattr(module, entry)()
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.out == ""
    assert "ValueError" in told.err
    assert "KeyError" in told.err
    assert "test_unforeseen.py:" in told.err
    assert "fails" in told.err
    assert "Mustermann" not in told.err
    assert "19300215" not in told.err


def test_a_thread_of_a_command_does_too(capsys: pytest.CaptureFixture[str]):
    with text_withheld():
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
    told = capsys.readouterr().err
    assert "ValueError" in told
    assert "Mustermann" not in told
