"""A look at a folder, and the configuration that is written from it."""
