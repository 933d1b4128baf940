"""The store: its place, its tables, and how stages read and commit."""
