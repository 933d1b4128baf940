"""Writes stages.json anew: `python -m tests.golden.remake`, after a stage's version was raised."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.golden.corpus import STAGES, settle, told

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        STAGES.write_text(json.dumps(told(settle(Path(folder))), indent=2) + "\n")
