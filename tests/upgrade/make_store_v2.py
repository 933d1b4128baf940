"""Makes store_v2.tgz: run with a checkout of version 2 (commit 05acfbc) on PYTHONPATH.

    python make_store_v2.py OUT

The sources of store_v1.tgz, unpacked beside it, go through all stages again; case 1 has an addendum
with a time beside its report. `store` and `vault` within OUT were packed by
`tar czf store_v2.tgz store vault addenda.csv`; the other sources lie in store_v1.tgz.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path

PACKED = Path(__file__).with_name("store_v1.tgz")
ADDENDA = """\
volume_name,patient_id,report_date,addendum,report
case_1.nii.gz,,2021-03-04 10:15,yes,"ADDENDUM: A 4 mm nodule, previously 6 mm, in the left lung."
"""


def curate_sources(out: Path) -> None:
    from fvlm_data.run.config import load_config
    from fvlm_data.run.curate import curate

    with tarfile.open(PACKED) as archive:
        archive.extractall(out, filter="data")
    for made in ("store", "vault"):
        shutil.rmtree(out / made)
    (out / "addenda.csv").write_text(ADDENDA)
    os.chdir(out)
    values = {
        "store": "store",
        "identity": {"vault": "vault"},
        "sources": [{"kind": "nifti", "path": "nifti", "name": "cases"}],
        "reports": [{"path": "reports.csv"}, {"path": "addenda.csv"}],
        "segment": {"backend": "precomputed", "masks": "masks", "classes": "classes.yaml"},
        "shard": {"spacing_mm": [12.0, 12.0, 12.0], "dtype": "uint8"},
        "pair": {"split": {"train": 0.5, "validation": 0.0, "test": 0.5}},
        "qc": {"enabled": False},
    }
    curate(load_config(None, (), values))


if __name__ == "__main__":
    curate_sources(Path(sys.argv[1]))
