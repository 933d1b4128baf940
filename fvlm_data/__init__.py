"""From CT archives and reports to training data for fine-grained vision-language models."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fvlm_data.opened.store import open_store as open_store
    from fvlm_data.reports.language.parser import ReportParser as ReportParser
    from fvlm_data.vocabulary import Vocabulary as Vocabulary

_HERE = Path(__file__).resolve().parent.parent


def _check_neighbours() -> None:
    """Refuse to run with another `schemas` than the one installed beside this package.

    The name is a common one: a `schemas.py` in the working folder would be imported in its
    place under `python -m` or a Prefect worker.
    """
    spec = find_spec("schemas")
    found = Path(spec.origin).resolve() if spec and spec.origin else None
    if found != _HERE / "schemas" / "__init__.py":
        raise ImportError(
            f"fvlm_data needs its own package `schemas` beside it in {_HERE}, but Python finds "
            f"{found}: run from another folder, or rename what stands in its way"
        )


_check_neighbours()

from fvlm_data.telemetry import switch_telemetry_off  # noqa: E402

switch_telemetry_off()

_LAZY = {
    "ReportParser": "fvlm_data.reports.language.parser",
    "Vocabulary": "fvlm_data.vocabulary",
    "open_store": "fvlm_data.opened.store",
}
"""Public names whose modules are imported at first use, so that the package itself stays light."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("fvlm")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, "__version__"})
