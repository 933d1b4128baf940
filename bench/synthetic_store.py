"""A store of many studies without pixels: rows as the stages write them, made by SQL.

Each study has one patient, one series of three files, one volume with a mask of 36 classes, one
report of 16 sentences and 8 findings, texts of all anatomies, and a sample. No file of an image or
mask stands behind the rows, so that table `files` is empty.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

import schemas
from fvlm_data.identity.vault import Vault
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.stages import build_stages
from fvlm_data.store.declared import Context
from fvlm_data.store.planning import settled_before
from fvlm_data.store.queries import make_keyed_id
from fvlm_data.store.reading import duckdb_type
from fvlm_data.store.sql import identifier
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary

CHUNK = 10_000
CLASSES, SENTENCES, FINDINGS, FILES = 36, 16, 8, 3
TASK = "total"
ACCEPTED_BY = {
    "ingest": "series",
    "select": "study",
    f"segment:{TASK}": "volume",
    "versions": "report",
    "match": "report",
    "reports": "report",
    "split": "patient",
    "pair": "study",
    "shard": "sample",
}
"""What the items of each stage are, all of them accepted."""

VALUES: dict[str, dict[str, str]] = {
    "candidates": {
        "path": "'volumes/' || substr(volume, 3, 2) || '/' || volume || '.nii.gz'",
        "source_files": f"[f || '_' || x for x in range({FILES})]",
        "shape": "[512, 512, 300]",
        "spacing_mm": "[0.8, 0.8, 1.0]",
        "affine_ras": "[-0.8, 0, 0, 0, 0, -0.8, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0]",
        "orientation": "'LPS'",
        "content_sha256": "sha256(volume)",
        "pixels_sha256": "sha256(volume || 'p')",
        "block_means_hu": "[(hash(volume, b) % 1200)::DOUBLE - 900 FOR b IN range(64)]",
        "hu_min": "-1024",
        "hu_max": "1500",
        "rescale_decision": "'per_slice'",
        "age_years": "(n % 90)::DOUBLE",
        "sex": "'F'",
    },
    "volume_checks": {
        "body_region": "'chest'",
        "contrast": "'enhanced'",
        "flags": "[]",
        "searched": "NULL",
    },
    "masks": {
        "task": f"'{TASK}'",
        "class_system": "'totalsegmentator_v2'",
        "class_name": "'class_' || k",
        "class_value": "k",
        "voxels": "1000 * k",
        "volume_ml": "k * 1.5",
        "bbox": "[0, 0, 0, k::INTEGER, 9, 9]",
        "touches_border": "false",
        "path": "'masks/' || substr(volume, 3, 2) || '/' || volume || '.total.nii.gz'",
        "content_sha256": "sha256(volume || 'm')",
        "backend": "'precomputed'",
        "backend_version": "'1'",
    },
    "reports": {
        "text": "repeat('The liver is of normal size and shows no focal lesion. ', 16) || n",
        "sections": "[{'name': 'findings', 'start': 0::INTEGER, 'end': 880::INTEGER}]",
        "source_files": "['f_reports']",
    },
    "sentences": {
        "sentence": "k",
        "start": "55 * k",
        "end": "55 * k + 54",
        "section": "'findings'",
        "text": "'The liver is of normal size and shows no focal lesion. ' || n",
        "anatomies": "['liver']",
        "assessments": "['normal']",
    },
    "findings": {
        "sentence": "k",
        "start": "55 * k + 4",
        "end": "55 * k + 9",
        "finding": "'liver_cyst'",
        "anatomy": "'liver'",
        "status": "'absent'",
    },
    "anatomy_texts": {
        "text": "'The ' || a || ' is of normal size and shows no focal lesion ' || n",
        "state": "'normal_stated'",
        "signature": "0",
        "findings": "[]",
        "labels": "[]",
        "sources": "[report || ':0:54']",
    },
    "study_reports": {"matched_by": "'study_uid'", '"order"': "0"},
    "splits": {"split": "'train'", "source": "'hash'"},
    "samples": {
        "split": "'train'",
        "shard": "'sh_' || (n // 100)",
        '"index"': "n % 100",
        "offset_z": "0",
        "shape_zyx": "[112, 256, 352]",
        "spacing_mm": "[3.0, 1.0, 1.0]",
        "affine_ras": "[1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0]",
        "content_sha256": "sha256(sample)",
        "anatomies": "['liver']",
        "states": "['normal_stated']",
        "signatures": "[0]",
        "findings": "[[]]",
        "labels": "[[]]",
        "texts": "['The liver is normal ' || n]",
        "boxes": "[[0, 0, 0, 9, 9, 9]]",
        "age_years": "(n % 90)::DOUBLE",
        "sex": "'F'",
    },
}

IDS = {
    "patient_id": "patient",
    "study_id": "study",
    "series_id": "series",
    "volume_id": "volume",
    "report_id": "report",
    "sample_id": "sample",
    "anatomy": "a",
}


def make_store(folder: Path, studies: int) -> tuple[Context, Config]:
    """A settled store of so many studies, its vault beside it."""
    store = Store.create(folder / "store")
    context = Context(store, Vault.open(folder / "vault"), "synthetic")
    values = {
        "store": str(folder / "store"),
        "identity": {"vault": str(folder / "vault")},
        "segment": {
            "backend": "precomputed",
            "masks": str(folder),
            "classes": "totalsegmentator_v2",
        },
    }
    config = load_config(None, (), values)
    for start in range(0, studies, CHUNK):
        write_studies(context, start, min(start + CHUNK, studies))
    _settle(context, config)
    return context, config


def write_studies(context: Context, start: int, stop: int) -> None:
    """Append the rows of the studies from number `start` to before `stop`."""
    connection = context.store.connect()
    make_keyed_id(connection, context.vault.key)
    ids = ", ".join(
        f"'{prefix}_' || left(md5('{name}' || n), 20) AS {name}"
        for name, prefix in (("patient", "p"), ("study", "st"), ("series", "se"))
    )
    more = ", ".join(
        f"'{prefix}_' || left(md5('{name}' || n), 20) AS {name}"
        for name, prefix in (("volume", "v"), ("report", "r"), ("f", "f"))
    )
    connection.execute(
        f"CREATE TEMP TABLE s AS SELECT *, keyed_id('sa', study, volume) AS sample FROM "
        f"(SELECT n, {ids}, {more} FROM range({start}, {stop}) r(n))"
    )
    names = ", ".join(f"('{anatomy.id}')" for anatomy in Vocabulary.load().anatomies)
    sources = {
        "candidates": "s",
        "volumes": "s",
        "volume_checks": "s",
        "masks": f"s, range({CLASSES}) c(k)",
        "reports": "s",
        "sentences": f"s, range({SENTENCES}) c(k)",
        "findings": f"s, range({FINDINGS}) c(k)",
        "anatomy_texts": f"s, (VALUES {names}) v(a)",
        "study_reports": "s",
        "splits": "s",
        "samples": "s",
    }
    for table, source in sources.items():
        values = VALUES["candidates" if table == "volumes" else table]
        _append(context, connection, table, _select(table, values, source))
    for table, query in _odd_tables().items():
        _append(context, connection, table, query)
    connection.close()


def _select(table: str, values: dict[str, str], source: str) -> str:
    columns = []
    for name, column in schemas.TABLES[table].columns.items():
        value = values.get(name) or values.get(identifier(name)) or IDS.get(name) or "NULL"
        if value == "NULL" and not column.nullable:
            value = "[]" if pa.types.is_list(column.type) else "'0'"
        columns.append(f"({value})::{duckdb_type(column.type)} AS {identifier(name)}")
    return f"SELECT {', '.join(columns)} FROM {source}"


def _odd_tables() -> dict[str, str]:
    """Tables whose rows do not follow from one source: inputs, links, matches, ledger."""
    files = (
        "SELECT 'file' AS kind, f || '_' || k AS token, 'cases' AS source, series AS item, "
        "md5(f || k) AS fingerprint, 500000::BIGINT AS size_bytes, 1::BIGINT AS modified_ns, "
        "3 * n + k AS inode, sha256(series) AS series, sha256(study) AS study, "
        "sha256(f) AS alike "
        f"FROM s, range({FILES}) c(k)"
    )
    reports = (
        "SELECT 'report', report || '.0', 'f_reports', report, md5(report), 900::BIGINT, "
        "0::BIGINT, NULL, NULL, NULL, NULL FROM s"
    )
    masks = (
        "SELECT 'mask', 'm_' || volume, 'masks', volume, md5(volume), 900::BIGINT, 1::BIGINT, "
        "n, NULL, NULL, NULL FROM s"
    )
    links = (
        "SELECT 'study' AS owner_kind, study AS owner_id, 'study_uid' AS kind, "
        "sha256(study) AS value_hash, series AS stated_by FROM s UNION ALL "
        "SELECT 'patient', patient, 'patient_id', sha256(patient), series FROM s UNION ALL "
        "SELECT 'report', report, 'study_uid', sha256(study), report FROM s UNION ALL "
        "SELECT 'report', report, 'patient_id', sha256(patient), report FROM s"
    )
    matches = (
        "SELECT report AS report_id, 'study' AS owner_kind, study AS owner_id, "
        "'study_uid' AS matched_by FROM s UNION ALL "
        "SELECT report, 'patient', patient, '' FROM s"
    )
    ledger = " UNION ALL ".join(
        f"SELECT '{stage}' AS stage, {item} AS item, '' AS key, 'accepted' AS outcome, "
        "'' AS content, '' AS parts, 'synthetic' AS run_id FROM s"
        for stage, item in ACCEPTED_BY.items()
    )
    return {
        "inputs": f"{files} UNION ALL {reports} UNION ALL {masks}",
        "links": links,
        "identity_marks": "SELECT patient AS owner_id, series AS series_id, "
        "md5(patient) AS mark FROM s",
        "report_matches": matches,
        "report_versions": "SELECT report AS report_id, NULL::VARCHAR AS successor, "
        "NULL::VARCHAR AS reason FROM s",
        "ledger": ledger,
    }


def _append(context: Context, connection: Any, table: str, query: str) -> None:
    """Rows in the order of the item that they are replaced by, as commits write them.

    A column that the query does not state is NULL.
    """
    definition = schemas.TABLES[table]
    bare = pa.schema([field.remove_metadata() for field in definition.schema])
    stated = connection.sql(query).columns
    names = ", ".join(
        identifier(name) if name in stated else f"NULL::{duckdb_type(column.type)} AS {name}"
        for name, column in definition.columns.items()
    )
    ordered = f"SELECT {names} FROM ({query}) ORDER BY {identifier(definition.replaced_by)}"
    rows = connection.sql(ordered).to_arrow_table().cast(bare)
    write_deltalake(DeltaTable(f"{context.store.url}/tables/{table}"), rows, mode="append")


def _settle(context: Context, config: Config) -> None:
    """Write the ledger as if each stage had settled what stands there."""
    stages = build_stages(config)
    settled = []
    for stage in stages:
        for item, key, outcome, content in settled_before(context, stage, stages):
            settled.append((stage.name, item, key, outcome, content))
    names = ("stage", "item", "key", "outcome", "content")
    columns = {name: [row[place] for row in settled] for place, name in enumerate(names)}
    rows = pa.table(
        {**columns, "parts": [""] * len(settled), "run_id": ["synthetic"] * len(settled)},
        schema=pa.schema([f.remove_metadata() for f in schemas.TABLES["ledger"].schema]),
    )
    table = DeltaTable(f"{context.store.url}/tables/ledger")
    write_deltalake(
        table, rows.sort_by([("stage", "ascending"), ("item", "ascending")]), mode="overwrite"
    )
