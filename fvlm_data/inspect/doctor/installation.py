"""Python, packages, decoders of pixels, the reader of reports, and the device of models."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from fvlm_data.errors import FvlmError
from fvlm_data.inspect.verify import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.run.config import Config

DISTRIBUTION = "fvlm"
SUPPORTED = SpecifierSet(metadata(DISTRIBUTION)["Requires-Python"])

SYNTAXES = {
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless, first order",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}
"""Compressed transfer syntaxes of CT (PS3.5 annex A)."""


def installation_checks(config: Config | None) -> list[Check]:
    """Statements of what is installed, against what the configuration needs."""
    return [
        _python(),
        *_packages(config),
        _decoders(),
        _reports(config),
        *_devices(config),
        *_weights(config),
    ]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check(
        f"Python is {SUPPORTED}",
        SUPPORTED.contains(found),
        found,
        remedy="make an environment with another Python: python3.12 -m venv .venv",
    )


def _packages(config: Config | None) -> Iterator[Check]:
    wanted = _wanted_extras(config) if config else {}
    for extra, lacking in _lacking().items():
        why = wanted.get(extra)
        if extra and not why and lacking:
            yield Check(f"extra [{extra}]", True, "not installed; nothing here needs it")
            continue
        what = f"extra [{extra}]" if extra else "the core's packages are those that it was made for"
        yield Check(
            f"{what}, for {why}" if why else what,
            not lacking,
            f"lacking or of another version: {len(lacking)}" if lacking else "installed",
            tuple(lacking),
            f"pip install 'fvlm[{extra}]'" if extra else "pip install --upgrade fvlm",
        )


def _lacking() -> dict[str, list[str]]:
    """Requirements that are not installed as they are asked for, by extra; "" is the core."""
    extras = (
        "",
        "flows",
        "train",
        "swin",
        "wandb",
        "mlflow",
        "s3",
        "dicomweb",
        "llm",
        "xlsx",
        "pdf",
        "serve",
        "totalsegmentator",
    )
    made: dict[str, list[str]] = {extra: [] for extra in extras}
    for told in requires(DISTRIBUTION) or ():
        requirement = Requirement(told)
        for extra, lacking in made.items():
            of_extra = requirement.marker is not None and "extra" in str(requirement.marker)
            if bool(extra) != of_extra:
                continue
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
                continue
            try:
                found = version(requirement.name)
            except PackageNotFoundError:
                lacking.append(f"{requirement.name}{requirement.specifier}, not found")
                continue
            if not requirement.specifier.contains(found, prereleases=True):
                lacking.append(f"{requirement.name}{requirement.specifier}, found {found}")
    return made


def _buckets(config: Config) -> str:
    if config.store.startswith("s3://"):
        return "the store's URL"
    return "a source" if any(one.url.startswith("s3://") for one in config.sources) else ""


def _wanted_extras(config: Config) -> dict[str, str]:
    """Extras that a configuration needs, and for what."""
    endings = {one.path.suffix.lower() for one in config.reports if one.path}
    train = config.train or {}
    encoder = train.get("model", {}).get("image_encoder")
    tools = train.get("tracking", {}).get("to", ())
    asked = {
        "s3": _buckets(config),
        "dicomweb": "a source" if any(one.kind == "dicomweb" for one in config.sources) else "",
        "llm": "parse.backend" if config.parse.backend == "llm" else "",
        "xlsx": "a report file" if {".xlsx", ".xlsm"} & endings else "",
        "totalsegmentator": "segment.backend"
        if config.segment.backend == "totalsegmentator"
        else "",
        "train": "its section" if config.train else "",
        "swin": "train.model.image_encoder" if encoder == "swin" else "",
        "wandb": "train.tracking" if "wandb" in tools else "",
        "mlflow": "train.tracking" if "mlflow" in tools else "",
        "flows": "execution.dask.address" if config.execution.dask.address else _prefect(),
    }
    return {extra: why for extra, why in asked.items() if why}


def _prefect() -> str:
    return "PREFECT_API_URL" if os.environ.get("PREFECT_API_URL") else ""


def _weights(config: Config | None) -> Iterator[Check]:
    """Whether models of the backend are there, where this run may not fetch them."""
    if config is None or config.segment.backend != "totalsegmentator":
        return
    from fvlm_data.segment.totalseg_library import weights_folder

    folder = weights_folder(config.segment.weights)
    found = len(list(folder.glob("Dataset*"))) if folder.is_dir() else 0
    fetched = config.segment.download_weights
    yield Check(
        "weights of TotalSegmentator are there",
        found > 0 or fetched,
        f"{found} models in {folder}{'; the library may fetch others' if fetched else ''}",
        remedy="copy them there, name their folder by segment.weights, or set "
        "segment.download_weights to true",
    )


def _decoders() -> Check:
    from pydicom.pixels import get_decoder

    from fvlm_data.ingest.dicom import decoders

    lacking = [
        name
        for uid, name in SYNTAXES.items()
        if not decoders.is_available(uid) and not get_decoder(uid).is_available
    ]
    return Check(
        "compressed pixels of every kind can be decoded",
        not lacking,
        f"{len(SYNTAXES) - len(lacking)} of {len(SYNTAXES)} transfer syntaxes",
        tuple(lacking),
        "pip install imagecodecs pylibjpeg pylibjpeg-libjpeg",
    )


def _reports(config: Config | None) -> Check:
    from fvlm_data.reports import ReportParser
    from fvlm_data.vocabulary import Vocabulary

    name = "reports can be read with the vocabulary"
    try:
        vocabulary = config.vocabulary.load() if config else Vocabulary.load()
        parser = ReportParser(vocabulary=vocabulary)
        texts = [term.prompts.positive for term in vocabulary.findings if term.prompts][:20]
        read = sum(bool(parser.parse(text).findings) for text in texts)
    except FvlmError as error:
        return Check(name, False, str(error), remedy="mend what is named there")
    except ImportError as error:
        return Check(name, False, f"{error.name} is missing", remedy="pip install --upgrade fvlm")
    return Check(
        name,
        read > 0,
        f"{read} of {len(texts)} of its own prompts are read",
        remedy="check the vocabulary's folder",
    )


def _devices(config: Config | None) -> Iterator[Check]:
    if find_spec("torch") is None:
        return
    import torch

    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = f"torch {torch.__version__}, {devices or 'no'} GPU{'' if devices == 1 else 's'}"
    asked = "any"
    if config is not None and config.segment.backend == "totalsegmentator":
        asked = config.segment.device
    yield Check(
        f"the device for models is there (asked for: {asked})",
        not asked.startswith(("gpu", "cuda")) or devices > 0,
        found,
        remedy="set segment.device to cpu, or install a torch that fits the driver (nvidia-smi)",
    )
