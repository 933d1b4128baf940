"""nnU-Net's predictor with its models kept: read once a process, on the device while it has room.

A task of TotalSegmentator may have five models. All stay in the machine's memory; the device holds
those used last, the others leave it where room is short.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, FvlmError
from fvlm_data.segment.totalseg_call import current_call

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOM = 0.5
"""Share of a GPU's memory that is kept free of models that wait, for the one that works."""


def keeping_models(predictor: type) -> type:
    """A predictor class that reads each trained model once a process.

    The library makes a predictor for each volume and model; nnU-Net then reads the weights from
    disk. What `initialize_from_trained_model_folder` sets on the first predictor of a model is
    set on the later ones.
    """

    class ModelKeepingPredictor(predictor):  # type: ignore[misc]
        _kept_weights: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()  # noqa: RUF012
        _reading = threading.Lock()

        def initialize_from_trained_model_folder(
            self,
            model_training_output_dir: str,
            use_folds: Iterable[int | str] | None,
            checkpoint_name: str = "checkpoint_final.pth",
        ) -> None:
            folds = tuple(use_folds) if isinstance(use_folds, list | tuple) else use_folds
            # a list cannot be a dictionary key
            self._model = (model_training_output_dir, folds, checkpoint_name, str(self.device))
            with self._reading:
                if self._model not in self._kept_weights:
                    self._kept_weights[self._model] = self._read(
                        model_training_output_dir, use_folds, checkpoint_name
                    )
            self.__dict__.update(self._kept_weights[self._model])

        def _read(self, folder: str, folds: Any, checkpoint: str) -> dict[str, Any]:
            before = dict(vars(self))
            try:
                super().initialize_from_trained_model_folder(
                    folder, folds, checkpoint_name=checkpoint
                )
            except (FvlmError, MemoryError):
                raise
            except Exception as error:
                raise ConfigError(
                    f"the model in {folder} cannot be read ({type(error).__name__}); expected "
                    "dataset.json, plans.json and fold_N/checkpoint_final.pth as TotalSegmentator "
                    "brings them: put the weights there anew"
                ) from error
            made = {
                name: value
                for name, value in vars(self).items()
                if name not in before or before[name] is not value
            }
            if len(made.get("list_of_parameters") or ()) == 1:
                # the network has them: one copy in memory, not two
                made["list_of_parameters"] = [made["network"].state_dict()]
            return made

        def predict_case(self, data: Any) -> Any:
            """Logits float16 (class, z, y, x) of a prepared image float32 (channel, z, y, x)."""
            import torch

            image = torch.from_numpy(data).to(
                dtype=torch.float32, memory_format=torch.contiguous_format
            )
            self._kept_weights.move_to_end(self._model)
            self._make_room(ROOM)
            try:
                logits = self.predict_logits_from_preprocessed_data(image)
            except RuntimeError as error:
                if not wants_memory(error) or not self._make_room(1.0):
                    raise
                logits = self.predict_logits_from_preprocessed_data(image)
            return logits.cpu().detach().numpy()

        def _make_room(self, share: float) -> bool:
            """Send models that wait from the GPU until `share` of it is free; whether any went."""
            if self.device.type != "cuda":
                return False
            import torch

            went = False
            for model, kept in self._kept_weights.items():
                torch.cuda.empty_cache()
                free, total = torch.cuda.mem_get_info(self.device)
                if free >= share * total:
                    break
                if model != self._model and next(kept["network"].parameters()).is_cuda:
                    kept["network"].to("cpu")
                    went = True
            return went

        def _internal_maybe_mirror_and_predict(self, x: Any) -> Any:
            current_call().check_time()  # the one place that each tile passes
            return super()._internal_maybe_mirror_and_predict(x)

    return ModelKeepingPredictor


def wants_memory(error: BaseException) -> bool:
    """Whether a device's memory did not suffice; by name and text: torch may not be imported."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError)
        and any(sign in str(error) for sign in ("out of memory", "ALLOC_FAILED"))
    )


def lacks_main_memory(error: BaseException) -> bool:
    """Whether it was the machine's memory (torch raises no MemoryError)."""
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def is_broken_device(error: BaseException) -> bool:
    """Whether the device failed, not the volume: a CUDA process is of no use after that."""
    signs = ("CUDA error", "CUDA driver", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS")
    return type(error).__name__ == "AcceleratorError" or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
    )
