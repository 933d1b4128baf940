"""One grammar of verbs and flags: every command of every program, walked as a shell would."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from fvlm_data.cli import console
from fvlm_data.cli.main import app
from fvlm_data.export import EXPORTS
from fvlm_train.cli import eval_app, pretrain_app, train_app
from pipelines.cli import app as flow_app

PROGRAMS = {
    "fvlm-data": app,
    "fvlm-eval": eval_app,
    "fvlm-flow": flow_app,
    "fvlm-pretrain": pretrain_app,
    "fvlm-train": train_app,
}

WRITES_NOTHING = {
    "fvlm-data plugins", "fvlm-data doctor", "fvlm-data explain", "fvlm-data open",
    "fvlm-data status", "fvlm-data reports score", "fvlm-data reports compare",
    "fvlm-data vault check", "fvlm-data vault places", "fvlm-data audit labels",
    "fvlm-data audit identities", "fvlm-data review queue", "fvlm-data review list",
    "fvlm-data review agreement",
    "fvlm-data plan", "fvlm-eval score", "fvlm-eval retrieval", "fvlm-eval compare",
    "fvlm-eval change", "fvlm-eval outcome", "fvlm-eval nearest", "fvlm-eval generated",
    "fvlm-eval organs", "fvlm-eval cases",
}  # fmt: skip
CANNOT_SAY = {
    "fvlm-data vault relearn": "what it would write to the vault is known once all is read",
    "fvlm-data serve": "with --review it writes what reviewers decide",
}
"""Commands that write and have no --dry-run, with the reason."""

COMMON = (
    "--store", "--config", "--set", "--json", "--quiet", "--dry-run", "--retry", "--rehash",
    "--force", "--name", "--reveal", "--vault",
)  # fmt: skip
"""Flags that say the same of every command."""
OF_IMAGES = ("fvlm-eval embed", "fvlm-eval attend", "fvlm-data report-problem")
"""Where --store is no must, it says what for; --reveal writes places into a table."""


def walked() -> dict[str, Any]:
    """Each command that does something, by its words."""
    found = {}

    def below(words: str, command: Any) -> None:
        names = EXPORTS.own if words == "fvlm-data export" else getattr(command, "commands", None)
        if names is None:
            found[words] = command
            return
        for name in names:
            below(f"{words} {name}", command.get_command(None, name))

    for program, one in PROGRAMS.items():
        below(program, typer.main.get_command(one))
    return found


COMMANDS = walked()


def options(command: Any) -> dict[str, Any]:
    return {name: one for one in command.params for name in one.opts if name.startswith("--")}


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_it_can_be_quiet_and_speak_json(words: str):
    assert {"--quiet", "--json"} <= options(COMMANDS[words]).keys()


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_what_writes_can_say_so_first(words: str):
    writes = words not in WRITES_NOTHING and words not in CANNOT_SAY
    assert ("--dry-run" in options(COMMANDS[words])) == writes


def test_the_lists_name_commands_that_are_there():
    assert {*WRITES_NOTHING, *CANNOT_SAY} - COMMANDS.keys() == set()


def test_a_flag_is_one_thing():
    """Common flags are told in the same words; each takes a value everywhere or nowhere."""
    told: dict[str, dict[str, set[str]]] = {}
    for words, command in COMMANDS.items():
        for name, option in options(command).items():
            if words not in OF_IMAGES or name not in ("--store", "--reveal"):
                told.setdefault(name, {}).setdefault(str(option.help), set()).add(words)
            kind = "flag" if option.is_flag else "value"
            told.setdefault(f"{name} as {kind}", {}).setdefault("", set()).add(words)
    both = [name for name in told if f"{name} as flag" in told and f"{name} as value" in told]
    assert both == []
    assert {name: told[name] for name in COMMON if len(told[name]) > 1} == {}


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_names_of_flags_are_words_with_hyphens(words: str):
    for name in options(COMMANDS[words]):
        assert name == name.lower()
        assert "_" not in name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["curat"], "curate"),
        (["review", "quue"], "queue"),
        (["curate", "x.yaml", "--retri"], "--retry"),
        (["export", "monia", "out", "--store", "s"], "monai"),
    ],
)
def test_a_typing_error_is_told_the_nearest(typed: list[str], meant: str):
    result = CliRunner().invoke(app, typed)
    assert result.exit_code == 2
    assert meant in result.stderr


def test_a_stage_of_the_flow_too(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text(f"store: {tmp_path / 'store'}\n", encoding="utf-8")
    result = CliRunner().invoke(flow_app, ["run", str(config), "--stage", "shrd", "--dry-run"])
    assert result.exit_code == 2
    assert "did you mean shard?" in result.stderr


@pytest.mark.parametrize("words", [["--help"], ["curate", "--help"], ["curat"], ["plugins"]])
def test_no_colours_in_a_pipe(words: list[str]):
    script = "from fvlm_data.cli.main import main; main()"
    plain = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "GITHUB_ACTIONS")}
    ended = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        env={**plain, "TERM": "xterm-256color"},
        check=False,
    )
    assert ended.stdout + ended.stderr
    assert b"\x1b" not in ended.stdout + ended.stderr


def test_quiet_leaves_json_and_faults(tmp_path: Path):
    run = CliRunner().invoke
    assert run(app, ["plugins", "--quiet"]).output == ""
    assert run(app, ["plugins", "--quiet", "--json"]).stdout.startswith("[")
    missing = run(app, ["status", "--quiet", "--store", str(tmp_path / "none")])
    assert missing.exit_code == 2
    assert missing.stderr.startswith("error: ")
    # the next command speaks again
    assert "sources" in run(app, ["plugins"]).stdout


def test_bars_keep_silent_too(monkeypatch: pytest.MonkeyPatch):
    told = io.StringIO()
    # not `file`: what it gives is today's stderr, which would stay when it is put back
    monkeypatch.setattr(console.err, "_file", told)
    with console.quieted(quiet=True), console.progress_shown() as show:
        show("ingest", 1, 1)
    assert told.getvalue() == ""
    with console.progress_shown() as show:
        show("ingest", 1, 1)
    assert told.getvalue().startswith("ingest: 1 of 1")


def test_what_is_printed_is_what_was_said(capsys: pytest.CaptureFixture[str]):
    console.print_line("[bold] fault:x: /a:warning:b")
    console.print_json_line({"path": "/a:warning:b"})
    console.print_json({"path": "/a:warning:b"})
    told = capsys.readouterr().out
    assert told.startswith("[bold] fault:x: /a:warning:b\n")
    assert told.count("/a:warning:b") == 3
