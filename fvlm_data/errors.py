"""The errors that stop a command. Faults in data are reason codes in `quarantine`, not errors."""

from __future__ import annotations


class FvlmError(Exception):
    """Root of all errors that end a command with one sentence."""


class InputError(FvlmError):
    """What was given to a command cannot be read or has not the expected form."""


class ConfigError(FvlmError):
    """The configuration holds an unknown key or an impossible value."""


class MissingExtraError(FvlmError):
    """A command needs packages that the install left out."""


class StoreError(FvlmError):
    """The store or the vault cannot be read, written or found."""


class MachineError(StoreError):
    """The machine lacks something that may come back: disk, memory, a network, a worker."""


class DamagedError(StoreError):
    """A file of the store is not what the stage that wrote it left there."""


def missing_input(section: str, path: object) -> InputError:
    """The error for a path of the configuration that is not there; `section` names it."""
    return InputError(
        f"{section} {path}: not found; check the path; what is gone for good is taken out "
        f"of `{section.split('[')[0]}` in the configuration (that of the last run is "
        "config.yaml in the store)"
    )
