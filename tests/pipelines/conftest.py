from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

SCANS = 4
SECRET_FOLDER = "Doe_John_19500101"
SECRET_FINDING = "a zebra-striped nodule"
"""Folder of the images and words of a report: neither may reach Prefect."""

AUDIT = """
import os, sys

def audit(event, arguments):
    if event == "socket.getaddrinfo":
        place = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        place = arguments[1]
        if isinstance(place, str):
            return
        place = place[0]
    else:
        return
    place = place.decode() if isinstance(place, bytes) else place
    if place not in (None, "", "127.0.0.1", "::1", "localhost", "0.0.0.0"):
        handle = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, f"{event} {place} in {sys.argv[:3]}\\n".encode())
        os.close(handle)

sys.addaudithook(audit)
"""
"""Run by every Python process below a test: notes each look-up and connection off loopback."""


@dataclass(frozen=True, slots=True)
class Shell:
    """What processes of a test are started with."""

    environment: dict[str, str]
    audit_log: Path

    def off_loopback(self) -> str:
        return self.audit_log.read_text() if self.audit_log.exists() else ""


@pytest.fixture
def shell(tmp_path: Path, vault_folder: Path) -> Shell:
    audit = tmp_path / "audit"
    audit.mkdir()
    (audit / "sitecustomize.py").write_text(AUDIT)
    scripts = str(Path(sys.executable).parent)
    environment = {
        "AUDIT_LOG": str(tmp_path / "off_loopback.txt"),
        "FVLM_VAULT": str(vault_folder),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PYTHONPATH": str(audit),
    }
    return Shell(environment, tmp_path / "off_loopback.txt")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A configuration over four small synthetic chests, cut into several batches."""
    images = tmp_path / SECRET_FOLDER
    images.mkdir()
    generator = np.random.default_rng(0)
    for number in range(SCANS):
        image_ijk = np.full((48, 48, 24), -1000, np.int16)
        image_ijk[8:40, 8:40, 2:22] = 40
        image_ijk[14:22, 14:34, 4:20] = -800
        image_ijk[26:34, 14:34, 4:20] = -800
        image_ijk[22:26, 30:34, 2:22] = 500
        image_ijk += generator.integers(-20, 20, image_ijk.shape).astype(np.int16)
        affine_ras = np.diag([-6.0, -6.0, 8.0, 1.0])
        nib.save(nib.Nifti1Image(image_ijk, affine_ras), images / f"scan_{number}.nii.gz")
    texts = "".join(
        f'scan_{number}.nii.gz,"Both lungs are clear. There is {SECRET_FINDING} of {number + 2} mm '
        f'in the left lung.","No acute finding."\n'
        for number in range(SCANS)
    )
    (tmp_path / "reports.csv").write_text("volume_name,findings,impression\n" + texts)
    path = tmp_path / "curate.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "store": "./store",
                "sources": [{"kind": "nifti", "path": SECRET_FOLDER, "name": "chests"}],
                "reports": [{"path": "reports.csv"}],
                "segment": {"backend": "threshold", "batch_size": 1},
                "qc": {"enabled": False},
                "execution": {"workers": 2, "resources": {"segment": {"GPU": 1}}},
            }
        )
    )
    return path
