"""Identities taken out of report texts."""
