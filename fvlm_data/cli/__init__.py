"""The command `fvlm-data`."""
