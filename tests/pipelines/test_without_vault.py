"""Workers that need no originals get none: stages that do without a vault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from fvlm_data.errors import StoreError
from fvlm_data.identity.contents import has_contents
from fvlm_data.identity.vault import Vault
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate, settle_batch
from fvlm_data.run.stages import build_stage
from fvlm_data.store.commits import settle
from fvlm_data.store.declared import Context, Item, Outcome, Stage
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.isolation.limits import Limits


class Elsewhere:
    """Settles batches as a worker does whose vault is an empty place."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.stages: set[str] = set()

    def __call__(
        self, store: str, run_id: str, stage: str, batches: Sequence[Any], limits: Limits
    ) -> Iterator[tuple[Any, dict[str, int]]]:
        for batch in batches:
            self.stages.add(stage)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("FVLM_VAULT", str(self.place))
                yield batch, settle_batch(store, run_id, stage, batch)


def test_volumes_are_segmented_where_no_vault_is(configuration: Path, tmp_path: Path) -> None:
    config = load_config(configuration, values={"execution": {"workers": 1}})
    curate(config, ["ingest"])
    elsewhere = Elsewhere(tmp_path / "elsewhere")
    summary = curate(config, ["select", "segment"], mapper=elsewhere)
    assert summary.stages["segment"]["accepted"] == 4
    assert elsewhere.stages == {"select", "segment"}
    assert not elsewhere.place.exists()
    # what the whole vault's process would make: it finds nothing to do
    again = curate(config, ["select", "segment"])
    assert again.stages["segment"]["already settled"] == 4


def test_a_stage_that_reads_originals_is_refused_there(configuration: Path, tmp_path: Path) -> None:
    config = load_config(configuration, values={"execution": {"workers": 1}})
    elsewhere = Elsewhere(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"elsewhere: no key found there, .* FVLM_VAULT"):
        curate(config, ["ingest"], mapper=elsewhere)
    assert not elsewhere.place.exists()


@pytest.mark.parametrize(
    ("values", "needs"),
    [
        ({"backend": "totalsegmentator"}, False),
        ({"backend": "threshold"}, False),
        ({"backend": "precomputed", "masks": "m", "classes": "totalsegmentator_v2"}, True),
    ],
)
def test_who_segments_needs_the_vault_where_masks_lie_by_its_word(
    values: dict[str, str], needs: bool
) -> None:
    config = load_config(None, values={"store": "store", "segment": values})
    assert build_stage("segment", config).needs_vault is needs


@pytest.mark.parametrize(
    "ask",
    [
        lambda batch: batch.paths(["f_0"]),
        lambda batch: batch.identities(["p_0"]),
        lambda batch: batch.originals(["r_0"]),
        lambda batch: batch.forgotten(["p_0"]),
    ],
    ids=["paths", "identities", "originals", "forgotten"],
)
def test_a_stage_that_says_it_needs_none_gets_none_of_a_vault_that_is_there(
    ask: Any, tmp_path: Path
) -> None:
    context = Context(Store.create(tmp_path / "store"), Vault.open(tmp_path / "vault"), "run")

    def make(batch: Any) -> Iterator[Outcome]:
        assert batch.secret == b""
        yield Outcome(str(ask(batch)))

    stage = Stage(
        name="nosy", version=1, settings={}, tables=(), items="SELECT 'a' AS item", make=make,
        batch_size=1, needs_vault=False,
    )  # fmt: skip
    with pytest.raises(StoreError, match="kept from this process"):
        settle(context, stage, [Item("a", "k")])


@pytest.mark.parametrize("name", ["vault.sqlite", "database"])
def test_places_are_looked_up_where_a_vault_has_contents_in_a_file_or_on_a_server(
    name: str, tmp_path: Path
) -> None:
    assert not has_contents(tmp_path)
    (tmp_path / name).touch()
    assert has_contents(tmp_path)
