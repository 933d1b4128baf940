"""The verbs of `fvlm-eval`, one file each; the command line of each and no more."""
