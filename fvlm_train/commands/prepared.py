"""What most verbs begin with: a run on its device, the section `evaluate`, findings, labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.run.config import load_config
from fvlm_data.vocabulary.config import VocabularyConfig
from fvlm_train.config import parse_evaluate_config
from fvlm_train.evaluate.embed import check_spacing
from fvlm_train.evaluate.embeddings import embed_samples
from fvlm_train.evaluate.findings import store_findings
from fvlm_train.evaluate.labelled import Labelled, labelled
from fvlm_train.evaluate.labels import read_labels
from fvlm_train.evaluate.names import FindingNames
from fvlm_train.evaluate.scoring import scored_findings
from fvlm_train.runs import trained_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from fvlm_data.vocabulary import Vocabulary
    from fvlm_train.config import EvaluateConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.embeddings import Embeddings
    from fvlm_train.evaluate.labels import LabelTable
    from fvlm_train.prompts import Finding
    from fvlm_train.runs import TrainedRun


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run whose model is on its device, how to evaluate, and the findings of its anatomies."""

    run: TrainedRun
    config: EvaluateConfig
    findings: list[Finding]

    def embeddings(self, source: SampleSource, show: Callable[[str, int, int], None]) -> Embeddings:
        """Of all anatomies, after a check of the samples' spacing."""
        check_spacing(self.run, source)
        return embed_samples(
            self.run.model,
            source,
            self.run.config,
            self.config,
            None,
            lambda done, total: show("embed", done, total),
        )

    def labelled(
        self,
        source: SampleSource,
        labels: LabelTable | None,
        show: Callable[[str, int, int], None],
    ) -> dict[str, Labelled]:
        """Embeddings of a split beside its labels, by finding."""
        return labelled(source, self.embeddings(source, show), self.findings, labels)


def evaluate_config(
    config_file: Path | None, overrides: Sequence[str] | None, store: str = "."
) -> EvaluateConfig:
    """The section `evaluate` as given; raises ConfigError."""
    resolved = load_config(config_file, overrides or (), {"store": store})
    return parse_evaluate_config(resolved.evaluate)


def evaluate_with_words(
    config_file: Path | None, overrides: Sequence[str] | None
) -> tuple[EvaluateConfig, Vocabulary]:
    """The sections `evaluate` and `vocabulary` as given, of files that belong to no store.

    Raises:
        ConfigError: either is at fault.
    """
    resolved = load_config(config_file, overrides or (), {"store": "."})
    vocabulary = VocabularyConfig.model_validate(resolved.vocabulary or {}).load()
    return parse_evaluate_config(resolved.evaluate), vocabulary


def prepared(
    run: Path, store: str, config_file: Path | None, overrides: Sequence[str] | None
) -> Prepared:
    """Load a run to evaluate it on a store.

    Raises:
        InputError: the run cannot be read.
        ConfigError: no finding of the store's vocabulary lies in a trained anatomy.
    """
    config = evaluate_config(config_file, overrides, store)
    trained = on_device(trained_run(run))
    findings = scored_findings(trained.model, store_findings(store, config.language))
    if not findings:
        raise ConfigError(
            f"run {run}: no finding of the vocabulary lies in its anatomies, "
            f"{', '.join(trained.model.anatomies)}"
        )
    return Prepared(trained, config, findings)


def on_device(run: TrainedRun) -> TrainedRun:
    """The run with its model on a GPU where there is one."""
    import torch

    run.model.to("cuda" if torch.cuda.is_available() else "cpu")
    return run


def labels_of(
    path: Path | None, store: str, vault: Path | None, findings: Sequence[Finding]
) -> LabelTable | None:
    """Labels of a file; None: those of the reports count."""
    if path is None:
        return None
    return read_labels(path, store, vault, FindingNames(findings))


def write_table(table: pa.Table, path: Path) -> None:
    """Write Parquet.

    Raises:
        InputError: it cannot be written.
    """
    import pyarrow.parquet

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(table, path)
    except OSError as error:
        raise InputError(
            f"table {path}: cannot be written ({type(error).__name__}); name another place by --out"
        ) from error
