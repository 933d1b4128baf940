"""A ward's data in forms of its own, and its package installed as a user does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STUDIES = 3
SECRET = "Doe_Jane"


def chest(number: int) -> np.ndarray[Any, Any]:
    """A body with two lungs and a spine, int16 HU (i, j, k); each number other lungs and noise."""
    image_hu = np.full((48, 48, 24), -1000, np.int16)
    image_hu[8:40, 8:40, 2:22] = 40
    image_hu[14:22, 14:34, 4:20] = -680 - 60 * number  # else they would pass for one scan
    image_hu[26:34, 14:34, 4:20] = -680 - 60 * number
    image_hu[22:26, 30:34, 2:22] = 500
    generator = np.random.default_rng(number)
    return image_hu + generator.integers(-20, 20, image_hu.shape).astype(np.int16)


AFFINE_RAS = np.diag([-6.0, -6.0, 8.0, 1.0])


def write_data(folder: Path) -> None:
    """Volumes and reports; one volume lacks its description, one report its study."""
    (folder / "volumes").mkdir(parents=True)
    (folder / "reports").mkdir()
    for number in range(STUDIES):
        path = folder / "volumes" / f"{SECRET}_{number}.npy"
        np.save(path, chest(number))
        told = {
            "affine_ras": AFFINE_RAS.tolist(),
            "study": f"1.2.3.{number}",
            "patient": f"{SECRET}_{number}",
        }
        path.with_suffix(".json").write_text(json.dumps(told))
    np.save(folder / "volumes" / f"{SECRET}_alone.npy", chest(9))
    text = "Both lungs are clear. There is a nodule of {} mm in the left lung.\n"
    reports = [f"study: 1.2.3.{number}\n{text.format(number + 3)}" for number in range(STUDIES)]
    (folder / "reports" / "night.rep").write_text(
        "\n====\n".join([*reports, f"{SECRET} went home"])
    )


def write_configuration(folder: Path, **sections: Any) -> Path:
    path = folder / "curate.yaml"
    values = {
        "store": "./store",
        "sources": [{"kind": "npy", "path": "volumes", "name": "ward"}],
        "reports": [{"path": "reports"}],
        "segment": {"backend": "air", "options": {"below_hu": -450}},
        "density": {"above_hu": 400},
        "qc": {"enabled": False},
        **sections,
    }
    path.write_text(yaml.safe_dump(values))
    return path


def install(place: Path, package: str, version: str = "") -> Path:
    """Install a package of this folder into `place`/site, as pip does; returns that."""
    copy = place / package
    shutil.copytree(HERE / package, copy)
    if version:
        project = copy / "pyproject.toml"
        project.write_text(
            project.read_text().replace('version = "1.2.0"', f'version = "{version}"')
        )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(place / "site")]
    subprocess.run([*pip, *options, str(copy)], check=True, capture_output=True, text=True)
    return place / "site"


@dataclass(frozen=True, slots=True)
class Shell:
    """Commands of this checkout, with the packages of `site` installed beside."""

    folder: Path
    site: Path | None
    more: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(ROOT), *([str(self.site)] if self.site else [])]
        vault = {"FVLM_VAULT": str(self.folder / "vault")}
        return {**os.environ, **vault, **self.more, "PYTHONPATH": os.pathsep.join(paths)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from fvlm_data.cli.main import main; main()", *words],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def ok(self, *words: str) -> str:
        ended = self.run(*words)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def refused(self, *words: str) -> str:
        """The one sentence of a command that cannot run."""
        ended = self.run(*words)
        assert ended.returncode == 2, ended.stdout + ended.stderr
        sentence = ended.stderr.splitlines()[-1]
        assert sentence.startswith("error: "), ended.stderr
        return sentence
