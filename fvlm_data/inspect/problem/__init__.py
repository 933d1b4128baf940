"""A bundle of files that tells a developer what went wrong, and nobody who the patients are."""
