"""Empty tables of a store, copied: making them all takes longer than most tests beside."""

from __future__ import annotations

import json
import time
import uuid
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import schemas
from fvlm_data.store import place

if TYPE_CHECKING:
    from schemas.table import Table

made = place.make_table


def copied_table(url: str, table: Table) -> None:
    """Do as `place.make_table` does: in a folder that is not there, by a copy of an empty table."""
    folder = Path(url)
    if "://" in url or folder.exists() or schemas.TABLES.get(table.name) is not table:
        made(url, table)
        return
    log = json.loads(_log(table.name))
    entries = {name: entry for line in log for name, entry in line.items()}
    now = round(time.time() * 1000)
    entries["metaData"] |= {"id": str(uuid.uuid4()), "createdTime": now}
    entries["commitInfo"] |= {"timestamp": now, "operationParameters": {}}
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, log)))


@cache
def _log(name: str) -> str:
    """The first commit of an empty table, as deltalake writes it: a JSON list of its lines."""
    with TemporaryDirectory() as folder:
        made(f"{folder}/{name}", schemas.TABLES[name])
        (commit,) = Path(folder, name, "_delta_log").glob("*.json")
        return f"[{','.join(commit.read_text().splitlines())}]"
