"""Devices by the library's names: gpu, gpu:N, mps, cpu."""

from __future__ import annotations

import platform
from functools import cache

from fvlm_data.errors import ConfigError


@cache
def check_device(device: str) -> None:
    """Refuse a device that is not there or does not work; the library would take the CPU instead.

    Raises:
        ConfigError: there is none of this name, or it cannot add two numbers.
    """
    if device == "cpu":
        return
    import torch

    if device == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError(
                "segment.device mps: torch finds no such device here; set segment.device to cpu "
                "or gpu"
            )
        return
    index = int(device.partition(":")[2] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise ConfigError(
            f"segment.device {device}: torch {torch.__version__} finds {count} GPUs here; look at "
            "driver and CUDA_VISIBLE_DEVICES, install a torch with CUDA, or set segment.device to "
            "cpu, which takes many times as long"
        )
    try:
        torch.ones(2, device=f"cuda:{index}").sum().item()
    except RuntimeError as error:
        raise ConfigError(
            f"segment.device {device}: it is listed and does not work ({type(error).__name__}); "
            "look at nvidia-smi, and whether torch "
            f"{torch.__version__} is built for this GPU and driver"
        ) from error


def device_name(device: str) -> str:
    """What a record says of it: cpu, or the GPU's model."""
    if not device.startswith("gpu"):
        return device if device == "cpu" else f"{device} ({platform.machine()})"
    import torch

    return str(torch.cuda.get_device_name(int(device.partition(":")[2] or 0)))
