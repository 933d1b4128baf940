"""Whether this machine can do what a configuration asks, told before hours of work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.inspect.doctor.installation import installation_checks
from fvlm_data.inspect.doctor.places import place_checks
from fvlm_data.inspect.doctor.services import service_checks

if TYPE_CHECKING:
    from fvlm_data.inspect.verify import Check
    from fvlm_data.run.config import Config


def examine(config: Config | None) -> list[Check]:
    """All statements, of the installation alone where no configuration is given.

    Nothing is written but an empty file in the folder of temporary files; no address is called that
    the configuration or Prefect's own setting does not name.
    """
    made = installation_checks(config)
    if config is not None:
        made += place_checks(config)
    return made + service_checks(config)
