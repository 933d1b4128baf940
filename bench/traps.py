"""Trap series through our ingest and three peers: accepted rightly, refused rightly, wrong.

Run from the repository: `python bench/traps.py`. A peer is right where it makes the volumes that
are right, and no other; what it says of the files counts for nothing, so that it is judged
leniently. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "ingest"))

import trap_contradictions  # type: ignore[import-not-found]  # noqa: E402, F401 - adds its own
import trap_spellings  # type: ignore[import-not-found]  # noqa: E402, F401 - as well
from trap_series import TRAPS  # type: ignore[import-not-found]  # noqa: E402
from truth import unmatched  # type: ignore[import-not-found]  # noqa: E402

from fvlm_data.identity.vault import Vault  # noqa: E402
from fvlm_data.ingest.config import IngestConfig, SourceConfig  # noqa: E402
from fvlm_data.ingest.discovery.discover import discover  # noqa: E402
from fvlm_data.ingest.select_stage import select_stage  # noqa: E402
from fvlm_data.ingest.selection import SelectConfig  # noqa: E402
from fvlm_data.ingest.stage import ingest_stage  # noqa: E402
from fvlm_data.store.commits import settle  # noqa: E402
from fvlm_data.store.declared import Context  # noqa: E402
from fvlm_data.store.planning import pending  # noqa: E402
from fvlm_data.store.tables import Store  # noqa: E402

Volumes = list[tuple[Any, Any]]


def ours(folder: Path, work: Path) -> Volumes:
    """Our ingest into a store of its own."""
    Store.create(work / "store")
    context = Context(Store.open(work / "store"), Vault.open(work / "vault"), "bench")
    source = SourceConfig(kind="dicom", path=folder, name="traps")
    discover(context, [source], "token")
    for stage in (ingest_stage(IngestConfig(), [source]), select_stage(SelectConfig())):
        for batch in pending(context, stage).batches:
            settle(context, stage, batch)
    taken = set(context.store.read("volumes").column("path").to_pylist())
    for path in (work / "store").rglob("*.nii.gz"):
        if path.relative_to(work / "store").as_posix() not in taken:
            path.unlink()
    return _niftis(work / "store" / "volumes")


def dcm2niix(folder: Path, work: Path) -> Volumes:
    """The program dcm2niix, with gzip; where it corrects a tilt, only the corrected file counts."""
    command = ["dcm2niix", "-z", "y", "-b", "n", "-d", "9", "-f", "%s_%p", "-o", str(work), "."]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    corrected = {path.name.replace("_Tilt_1", "") for path in work.glob("*_Tilt_1.nii.gz")}
    for path in work.glob("*.nii.gz"):
        if path.name in corrected:
            path.unlink()
    return _niftis(work)


def dicom2nifti(folder: Path, work: Path) -> Volumes:
    """The library dicom2nifti, each series of the folder, as it stands."""
    from dicom2nifti import convert_directory

    convert_directory(str(folder), str(work), compression=True, reorient=False)
    return _niftis(work)


def simpleitk(folder: Path, work: Path) -> Volumes:
    """SimpleITK's series reader on every folder and series that it names."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(place)):
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(place), series)
            image = sitk.ReadImage(names)
            sitk.WriteImage(image, str(work / f"{len(list(work.iterdir()))}.nii.gz"))
    return _niftis(work)


PEERS: dict[str, Callable[[Path, Path], Volumes]] = {
    "ours": ours,
    "dcm2niix": dcm2niix,
    "dicom2nifti": dicom2nifti,
    "SimpleITK": simpleitk,
}


def judge(name: str, peer: Callable[[Path, Path], Volumes]) -> str:
    """What a peer made of one trap: accepted, refused (both rightly) or wrong."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place) / "out"
        work.mkdir()
        expected = TRAPS[name].build(Path(place) / "in")
        try:
            volumes = peer(Path(place) / "in", work)
        except Exception:  # a peer that gives up has refused
            volumes = []
        lenient = peer is not ours
        if unmatched(volumes, expected.volumes, lenient=lenient):
            return "wrong"
        return "accepted" if expected.volumes else "refused"


def _niftis(folder: Path) -> Volumes:
    """Volumes (i, j, k) with affine in RAS+ mm; images of one slice are no volumes."""
    found = []
    for path in sorted(folder.rglob("*.nii.gz")):
        image = nib.load(path)
        values = np.asanyarray(image.dataobj)
        if values.ndim == 3 and values.shape[2] > 1:
            found.append((values, image.affine))
        elif values.ndim == 4:
            found.extend((values[..., n], image.affine) for n in range(values.shape[3]))
    return found


def _installed(name: str) -> bool:
    return name == "ours" or bool(shutil.which(name) or importlib.util.find_spec(name))


def main() -> None:
    """Print one row a trap and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="traps whose name holds this text")
    only = parser.parse_args().only
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    peers = {name: peer for name, peer in PEERS.items() if _installed(name)}
    sums: dict[str, Counter[str]] = {name: Counter() for name in peers}
    print("| trap | " + " | ".join(peers) + " |")
    print("|---|" + "---|" * len(peers))
    for trap in (name for name in TRAPS if only in name):
        told = {name: judge(trap, peer) for name, peer in peers.items()}
        for name, word in told.items():
            sums[name][word] += 1
        print(f"| {trap} | " + " | ".join(told.values()) + " |", flush=True)
    print("\n| of all traps | " + " | ".join(peers) + " |")
    print("|---|" + "---|" * len(peers))
    for word, title in (
        ("accepted", "accepted rightly"),
        ("refused", "refused rightly"),
        ("wrong", "wrong"),
    ):
        print(f"| {title} | " + " | ".join(str(sums[name][word]) for name in peers) + " |")


if __name__ == "__main__":
    main()
