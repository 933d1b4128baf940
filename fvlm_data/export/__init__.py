"""Copies of the training samples for other libraries, one file a format."""
