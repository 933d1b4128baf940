"""What the ward's own tests are: the checks that this package ships, on each thing it adds.

python conformance.py VOLUMES REPORTS STORE VAULT OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from fvlm_data.segment.backend import VolumeImage
from fvlm_data.testing import (
    check_backend,
    check_export,
    check_report_source,
    check_source,
    check_stage,
)
from tests.extensions.ward import AFFINE_RAS, chest


def main() -> None:
    volumes, reports, store, vault, out = sys.argv[1:]
    check_source("npy", Path(volumes))
    check_report_source("rep", Path(reports))
    check_backend("air", VolumeImage("v_1", chest(0), AFFINE_RAS), {"below_hu": -300})
    check_export("listing", store, Path(out), {"separator": ";"})
    check_stage(
        "density",
        {
            "store": store,
            "identity": {"vault": vault},
            "segment": {"backend": "air", "options": {"below_hu": -450}},
            "density": {"above_hu": 100},
        },
    )


if __name__ == "__main__":
    main()
