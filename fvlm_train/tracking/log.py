"""All tools that follow a training, opened and closed with it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from fvlm_data.errors import FvlmError, InputError
from fvlm_data.extras import needs_extra
from fvlm_train.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fvlm_train.config import TrainConfig
    from fvlm_train.config.tracking import TrackingConfig
    from fvlm_train.tracking.tracker import Tracker

IDS = "tracking.json"


def check_installed(config: TrackingConfig) -> None:
    """Refuse, before any work, tools that are not installed.

    Raises:
        MissingExtraError: the extra of one of them is not there; names it.
    """
    for name in config.to:
        with needs_extra(name, f"train.tracking.to: {name}"):
            if name == "wandb":
                import wandb  # noqa: F401
            else:
                import mlflow  # noqa: F401


class TrackingLog:
    """The tools of train.tracking.to, a context manager.

    `earlier` steps of a resumed run are told again; a tool leaves out those that it has. Only the
    first rank `writes`.
    """

    def __init__(
        self,
        run: Path,
        config: TrainConfig,
        earlier: Iterable[dict[str, Any]],
        *,
        writes: bool = True,
    ) -> None:
        """Nothing is opened yet."""
        self._run, self._config, self._earlier = run, config, list(earlier)
        self._names = config.tracking.to if writes else ()
        self._open: dict[str, Tracker] = {}

    def __enter__(self) -> Self:
        """Begin a run in each tool, or go on with that of a resumed training.

        Raises:
            TrackingError: a tool cannot be reached, or refuses.
        """
        ids = _ids(self._run) if self._earlier else {}
        for name in self._names:
            with _told(name):
                self._open[name] = _opened(name, self._run, self._config, ids.get(name))
            ids[name] = self._open[name].id
        if self._open:
            _remember(self._run, ids)
        for line in self._earlier:
            self.write(line)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Close all; what the training itself ended with is not replaced."""
        for name, tracker in self._open.items():
            try:
                with _told(name):
                    tracker.close(failed=error is not None)
            except TrackingError as also:
                if error is None:
                    raise
                error.add_note(str(also))

    def write(self, line: dict[str, Any]) -> None:
        """Tell a step as the run's log has it.

        Raises:
            TrackingError: a tool cannot be reached any more.
        """
        for name, tracker in self._open.items():
            with _told(name):
                tracker.write(line)


def _opened(name: str, run: Path, config: TrainConfig, known: str | None) -> Tracker:
    if name == "wandb":
        from fvlm_train.tracking.weights_and_biases import open_wandb

        return open_wandb(run, config, known)
    from fvlm_train.tracking.ml_flow import open_mlflow

    return open_mlflow(run, config, known)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What a tool raises, as one sentence of its kind alone: its text may hold an address's key."""
    try:
        yield
    except FvlmError:
        raise
    except Exception as error:  # each tool raises kinds of its own and those of its transport
        raise TrackingError(
            f"train.tracking: {name} cannot be told of the training ({type(error).__name__}): look "
            "whether its server answers, or take it out of train.tracking.to; the same command "
            "goes on"
        ) from error


def _ids(run: Path) -> dict[str, str]:
    path = run / IDS
    if not path.is_file():
        return {}
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"run {run}: {IDS} is damaged; remove it, and the steps are told to new runs"
        ) from error
    return {str(name): str(one) for name, one in ids.items()}


def _remember(run: Path, ids: dict[str, str]) -> None:
    temporary = (run / IDS).with_suffix(".partial")
    temporary.write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")
    temporary.replace(run / IDS)
