"""The commands of `fvlm-data`, one file a group."""
