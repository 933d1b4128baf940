"""What an unlabelled sample is made from: items and reads of the stage, one item's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.shards.faces import HEAD
from fvlm_data.shards.inputs import MASK_COLUMNS, VOLUME_COLUMNS, SampleInputs
from fvlm_data.store.declared import Read
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.sql import quoted

if TYPE_CHECKING:
    from fvlm_data.shards.unlabelled.config import UnlabelledConfig
    from fvlm_data.store.declared import Context, Inputs

ALL = """
    SELECT keyed_id('sa', v.study_id, v.volume_id) AS item,
        v.volume_id, v.study_id, v.patient_id, s.split
    FROM volumes v JOIN splits s ON s.patient_id = v.patient_id
"""
LABELLED = """
    v.volume_id IN (SELECT volume_id FROM masks)
    AND v.study_id IN (SELECT study_id FROM anatomy_texts)
"""
"""Volumes that stage `shard` makes samples of."""

HEADS = ", ".join(map(quoted, sorted(HEAD)))


def items(config: UnlabelledConfig) -> str:
    """SQL of one sample a volume whose patient has a split."""
    return ALL if config.volumes == "all" else f"{ALL} WHERE NOT ({LABELLED})"


def reads() -> tuple[Read, ...]:
    """A volume, where masks show its head, split, and whether review excludes its study."""
    return (
        Read("volume", "volumes", "volume_id", VOLUME_COLUMNS, on="volume_id", carries=("path",)),
        Read(
            "heads",
            "masks",
            "volume_id",
            MASK_COLUMNS,
            on="volume_id",
            carries=("path",),
            where=f"t.class_name IN ({HEADS})",
            rare=True,
        ),
        Read("split", "splits", "patient_id", ("split",), on="patient_id"),
        Read(
            "excluded",
            "review_effects",
            "study_id",
            ("reason",),
            on="study_id",
            where="t.kind = 'study'",
            rare=True,
        ),
    )


def sample_inputs(one: Inputs) -> SampleInputs | None:
    """The inputs of one sample, of whose masks only heads; None where they have left the tables."""
    if not one.rows["volume"] or not one.rows["split"]:
        return None
    return SampleInputs(
        sample_id=one.item,
        volume_id=one.refs["volume_id"],
        study_id=one.refs["study_id"],
        patient_id=one.refs["patient_id"],
        split=one.refs["split"],
        volume=one.rows["volume"][0],
        masks=one.rows["heads"],
        texts=(),
        excluded=next((row["reason"] for row in one.rows["excluded"]), None),
    )


def volumes_without_split(context: Context) -> int:
    """How many volumes give no sample since their patient has no split yet (`fvlm-data pair`).

    Raises:
        StoreError: a table cannot be read.
    """
    tables = ("volumes", "splits")

    def work() -> int:
        connection = context.store.connect()
        try:
            open_tables(context, connection, tables)
            query = "SELECT count(*) FROM volumes WHERE patient_id NOT IN "
            query += "(SELECT patient_id FROM splits)"
            return int(connection.execute(query).fetchall()[0][0])
        finally:
            connection.close()

    return with_readable_tables(context, tables, work, mend=False)
