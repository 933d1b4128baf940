"""A writer in a process of its own.

    python write_rows.py STORE NAME own|shared COUNT

`own` writes COUNT items of its own; `shared` replaces the same item COUNT times.
"""

from __future__ import annotations

import sys

from fvlm_data.store.tables import Store
from schemas import Split


def main() -> None:
    url, name, mode, count = sys.argv[1:]
    store = Store.create(url)
    for number in range(int(count)):
        item = f"{name}{number}" if mode == "own" else "shared"
        store.replace("splits", [item], [Split(patient_id=item, split="train", source="hash")])
        store.write_bytes(f"files/{item}.txt", b"x" * 100_000)


if __name__ == "__main__":
    main()
