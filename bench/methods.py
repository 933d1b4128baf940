"""A trained model beside a plain baseline on the same patients and labels.

`fvlm-eval baseline` does so of a run that stands (`fvlm_train/evaluate/baseline.py` tells what the
baseline is); this makes store and run first, where none is named.

    python bench/methods.py --config demo/demo.yaml --store demo/store --run demo/run \
        --labels demo/phantom/truth.parquet
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from fvlm_data.cli.demo import write_demo_configuration
from fvlm_data.run.config import load_config
from fvlm_train.config import parse_evaluate_config
from fvlm_train.evaluate.baseline import beside, differences, table_lines
from fvlm_train.evaluate.zero_shot import LabelsFile


def made(folder: Path, patients: int, steps: int) -> argparse.Namespace:
    """Make phantom, store and run of the demonstration in `folder`, as `fvlm-data demo` does."""
    config = write_demo_configuration(folder)
    python = [sys.executable, "-c"]
    data = "from fvlm_data.cli.main import main; main()"
    train = "from fvlm_train.cli import train_main; train_main()"
    phantom, store, run = (folder / name for name in ("phantom", "store", "run"))
    for command in (
        [*python, data, "phantom", str(phantom), "--patients", str(patients), "--seed", "7"],
        [*python, data, "curate", str(config)],
        [*python, train, str(config), "--store", str(store), "--out", str(run),
         "--set", f"train.steps={steps}"],
    ):  # fmt: skip
        subprocess.run(command, check=True, stdout=sys.stderr, cwd=folder)
    return argparse.Namespace(
        config=config, store=str(store), run=run, labels=phantom / "truth.parquet",
        vault=folder / "vault",
    )  # fmt: skip


def main() -> None:
    """Score a run and the baseline, of a store that stands or of one that is made for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, help="YAML configuration, for its evaluate section")
    parser.add_argument("--store", help="store; without it one is made, and a model trained on it")
    parser.add_argument("--run", type=Path, help="folder of the trained run")
    parser.add_argument("--labels", type=Path, help="labels of the studies, as for fvlm-eval")
    parser.add_argument("--vault", type=Path, help="folder of the vault, for the labels")
    parser.add_argument("--patients", type=int, default=300, help="of a store that is made")
    parser.add_argument("--steps", type=int, default=500, help="of a model that is trained")
    parser.add_argument("--min-patients", type=int, help="with a finding, for it to be compared")
    parser.add_argument("--scores", type=Path, help="folder that keeps the scores of both")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.store is None:
            here = made(Path(scratch), arguments.patients, arguments.steps)
            arguments = argparse.Namespace(**{**vars(arguments), **vars(here)})
        elif arguments.run is None or arguments.labels is None:
            parser.error("--store needs --run and --labels")
        resolved = load_config(arguments.config, (), {"store": arguments.store})
        config = parse_evaluate_config(resolved.evaluate)
        if arguments.min_patients is not None:
            update = {"min_positive_patients": arguments.min_patients}
            config = config.model_copy(update=update)
        file = LabelsFile(arguments.labels, arguments.store, arguments.vault)
        found = beside(arguments.run, file, config)
        print("\n".join(table_lines(*found)))
        kept = arguments.scores or Path(scratch)
        kept.mkdir(parents=True, exist_ok=True)
        print("\n".join(differences(*found, config, kept)))


if __name__ == "__main__":
    main()
