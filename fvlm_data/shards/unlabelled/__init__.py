"""Samples of volumes without reports or masks, for learning without labels."""
