"""A patient or study leaves the store and its vault, and is not taken in again."""
