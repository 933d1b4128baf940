"""Predict a run from a sample a tenth of its size, then make that run: how far off was the plan?

Run from the repository: `python bench/capacity.py --patients 30 --times 10`. Synthetic patients,
all stages but segmentation by a network; each stage's time by the clock, so the machine must be
calm. Prints predicted and measured seconds by stage, and their ratio.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fvlm_data.inspect.capacity.measured import measured  # noqa: E402
from fvlm_data.inspect.capacity.projected import Prices, project  # noqa: E402
from fvlm_data.phantom import generate  # noqa: E402
from fvlm_data.run.config import Config, load_config  # noqa: E402
from fvlm_data.run.curate import curate  # noqa: E402
from fvlm_data.run.records import open_context  # noqa: E402

WORKERS = 2


def curated(folder: Path, patients: int, *, idle: bool) -> tuple[Config, dict[str, float]]:
    """A store of so many synthetic patients, and its first run; `idle`: a second one follows."""
    generate(folder / "phantom", patients=patients, seed=7, workers=WORKERS)
    values = {
        "store": str(folder / "store"),
        "identity": {"vault": str(folder / "vault")},
        "sources": [{"kind": "dicom", "path": str(folder / "phantom" / "dicom")}],
        "reports": [
            {"path": str(folder / "phantom" / f"reports_{region}.csv")}
            for region in ("chest", "abdomen")
        ],
        "segment": {
            "backend": "precomputed",
            "masks": str(folder / "phantom" / "masks" / "manifest.csv"),
            "classes": str(folder / "phantom" / "masks" / "classes.yaml"),
        },
        "execution": {"workers": WORKERS},
    }
    config = load_config(None, (), values)
    first = curate(config).stage_seconds
    if idle:
        curate(config)
    return config, first


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=30)
    parser.add_argument("--times", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        small, large = Path(work, "small"), Path(work, "large")
        config, _ = curated(small, arguments.patients, idle=True)
        sample = measured(open_context(config, create=False), config)
        whole, run = curated(large, arguments.patients * arguments.times, idle=False)
        context = open_context(whole, create=False)
        stored = measured(context, whole)
        studies = stored.studies
        plan = project(sample, studies, WORKERS, 1, Prices())
    print(f"sample {sample.studies} studies, archive {studies}, {WORKERS} workers")
    print(f"{'stage':20} {'plan s':>8} {'run s':>8}  ratio")
    total = 0.0
    for one in plan.stages:
        took = run.get(one.name, 0.0)
        total += took
        ratio = f"{one.hours * 3600 / took:.2f}" if took >= 1 else ""
        print(f"{one.name:20} {one.hours * 3600:8.1f} {took:8.1f}  {ratio}")
    print(f"{'in all':20} {plan.hours * 3600:8.1f} {total:8.1f}  {plan.hours * 3600 / total:.2f}")
    for name, size in plan.store_bytes.items():
        real = stored.store_bytes[name] * studies
        print(f"{name:20} {size / 1e6:8.1f} {real / 1e6:8.1f}  {size / max(real, 1):.2f} (MB)")


if __name__ == "__main__":
    main()
