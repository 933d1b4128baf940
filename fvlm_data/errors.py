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
