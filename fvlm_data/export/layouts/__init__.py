"""Layouts of public data sets, written from a store: what reads their download reads these."""
