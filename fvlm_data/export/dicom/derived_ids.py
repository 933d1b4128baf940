"""UIDs and UUIDs derived from the store's keyed ids: the same each time, never a hospital's."""

from __future__ import annotations

import uuid

NAMESPACE = uuid.UUID("8b0f5f5e-6a3c-4f0e-9c55-7d2c1b9a4e10")
"""Of the names that are hashed; drawn once."""


def derived_uuid(*parts: str) -> str:
    """UUID (version 5) of `parts`; as ids of the store are keyed, it cannot be turned back."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def derived_uid(*parts: str) -> str:
    """DICOM UID of `parts`: 2.25 and the UUID as a number (PS3.5 B.2), at most 44 characters."""
    return f"2.25.{uuid.UUID(derived_uuid(*parts)).int}"
