"""Attributes of pathology apart from those of structure, and how rare each finding is."""
