"""Everything in the lists, each entry loaded to see whether it works."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import MissingExtraError
from fvlm_data.extensions import loaded
from fvlm_data.extras import needs_extra
from fvlm_data.run.config import Config
from fvlm_data.run.registry import STAGES, all_lists

if TYPE_CHECKING:
    from fvlm_data.extensions import Extensions, Offer


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry of a list, the package that brings it, and why it cannot be used.

    `fault` is empty where it can; `place` is module:attribute; `trace` is the whole traceback
    where it cannot be loaded.
    """

    list: str
    name: str
    package: str
    version: str
    place: str
    fault: str = ""
    trace: str = ""


def plugins() -> list[Plugin]:
    """Every entry of every list, ours first; each is imported now."""
    return [
        _plugin(name, extensions, offer)
        for name, extensions in all_lists().items()
        for offer in extensions.offers()
    ]


def _plugin(name: str, extensions: Extensions, offer: Offer) -> Plugin:
    fault, trace = _conflict(extensions, offer), ""
    try:
        if extensions.extra and not offer.foreign:
            with needs_extra(extensions.extra, f"{extensions.what} {offer.name}"):
                loaded(offer, extensions.what)
        else:
            loaded(offer, extensions.what)
    except MissingExtraError:
        fault = f"needs the extra [{extensions.extra}]"
    except Exception as error:  # a package of others may raise anything
        # `loaded` wraps what the import raised
        cause = error.__cause__ or error
        where = traceback.extract_tb(cause.__traceback__)[-1]
        fault = f"{type(cause).__name__} at {Path(where.filename).name}:{where.lineno}"
        trace = "".join(traceback.format_exception(cause))
    return Plugin(name, offer.name, offer.package, offer.version, offer.place, fault, trace)


def _conflict(extensions: Extensions, offer: Offer) -> str:
    alike = {one.package for one in extensions.offers() if one.name == offer.name}
    if len(alike) > 1:
        return f"brought by several packages: {', '.join(sorted(alike))}"
    if extensions is STAGES and offer.foreign and offer.name in Config.model_fields:
        return f"its name is that of our section {offer.name}: no configuration can name it"
    return ""
