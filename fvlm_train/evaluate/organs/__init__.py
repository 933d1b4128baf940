"""The command `fvlm-eval organs`: which organ a region is, and whether it is abnormal, by texts."""
