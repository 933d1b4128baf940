from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fvlm_data.telemetry import TELEMETRY_OFF


@pytest.mark.parametrize("package", ["fvlm_data", "fvlm_train", "pipelines"])
def test_importing_a_package_switches_telemetry_off_here_and_in_children(package: str):
    environment = {k: v for k, v in os.environ.items() if k not in TELEMETRY_OFF}
    told = "import json, os; print(json.dumps(dict(os.environ)))"
    script = f"import {package}, subprocess, sys; subprocess.run([sys.executable, '-c', {told!r}])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout).items() >= TELEMETRY_OFF.items()


def test_libraries_that_are_told_to_be_silent_are():
    from huggingface_hub import constants

    assert constants.HF_HUB_DISABLE_TELEMETRY
