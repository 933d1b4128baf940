from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

import dask
import pytest
from distributed import Client, get_worker

from fvlm_data.errors import ConfigError
from fvlm_data.isolation.limits import Ended, Limits
from fvlm_data.run.config import Config, ExecutionConfig
from fvlm_data.run.records import begin, open_context
from pipelines.workers import (
    SAME_VERSIONS,
    WorkerError,
    check_resources,
    check_versions,
    connect,
    fit_for,
    local_cluster,
    neighbours,
    own_process,
    task_runner,
)
from tests.isolation.deeds import work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKER = "tcp://10.0.0.7:41000"


def told(**changes: Any) -> dict[str, Any]:
    side = {"packages": {"python": "3.11.7.final.0", **dict.fromkeys(SAME_VERSIONS, "1.0")}}
    other = copy.deepcopy(side)
    other["packages"].update(changes)
    return {"client": side, "workers": {WORKER: other}}


@pytest.mark.parametrize("python", ["3.11.7.final.0", "3.11.9.final.0"])
def test_equal_versions_pass(python: str) -> None:
    check_versions(told(python=python))


@pytest.mark.parametrize("package", SAME_VERSIONS)
def test_a_worker_of_another_version_is_refused_by_name(package: str) -> None:
    with pytest.raises(WorkerError, match=rf"{WORKER} .*: {package} 0.9 \(expected 1.0\)"):
        check_versions(told(**{package: "0.9"}))


def test_all_that_differs_stands_in_one_sentence() -> None:
    wrong = told(python="3.12.1.final.0", prefect=None)
    with pytest.raises(WorkerError) as caught:
        check_versions(wrong)
    assert "python 3.12 (expected 3.11), prefect missing (expected 1.0)" in str(caught.value)
    assert "constraints.txt" in str(caught.value)


def test_no_scheduler_is_told_with_the_place_to_mend() -> None:
    address = "tcp://127.0.0.1:9"
    runner = task_runner(ExecutionConfig(dask={"address": address}))
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "300ms"}),
        pytest.raises(WorkerError, match=rf"Dask at {address}: .* execution\.dask\.address"),
    ):
        connect(runner)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_cluster(2, {"GPU": 1.0}) as cluster, Client(cluster) as connected:
        connected.wait_for_workers(2)
        yield connected


def place() -> Any:
    return get_worker().name


def use_vault(folder: str) -> None:
    os.environ["FVLM_VAULT"] = folder


@pytest.mark.slow
def test_work_for_a_resource_goes_to_the_one_worker_that_offers_it(client: Client) -> None:
    with dask.annotate(resources={"GPU": 1}):
        futures = [client.submit(place, pure=False) for _ in range(6)]
    assert [future.result(timeout=60) for future in futures] == [0] * 6


def in_own_process(deed: str) -> Any:
    with own_process() as process:
        ((_, result),) = process.run(work, [[deed]], lambda batch: (batch,), Limits(60.0, 400))
    return result


@pytest.mark.slow
def test_a_worker_outlives_what_is_deadly(client: Client) -> None:
    before = client.run(os.getpid)
    assert neighbours(client) == 2
    deeds = ["crash", "eat", "well", "crash", "well"]
    results = client.gather([client.submit(in_own_process, deed, pure=False) for deed in deeds])
    told = [one.reason if isinstance(one, Ended) else one for one in results]
    assert told == ["crashed", "out_of_memory", ["well"], "crashed", ["well"]]
    assert client.run(os.getpid) == before


@pytest.mark.slow
def test_a_look_that_the_client_takes_meanwhile_hides_no_worker(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own look, without workers, comes between an answer and its use: seen once."""
    answered = client._update_scheduler_info

    async def then_looked(**asked: Any) -> None:
        await answered(**asked)
        await answered(n_workers=0)

    monkeypatch.setattr(client, "_update_scheduler_info", then_looked)
    assert client.scheduler_info(n_workers=-1)["workers"] == {}
    assert neighbours(client) == 2
    check_resources(client, "segment", {"GPU": 1})


@pytest.mark.slow
def test_the_workers_speak_with_a_certificate_only(client: Client) -> None:
    assert client.scheduler_info()["address"].startswith("tls://127.0.0.1:")


@pytest.mark.slow
def test_a_stage_whose_resource_nobody_offers_is_refused(client: Client) -> None:
    check_resources(client, "segment", {"GPU": 1})
    check_resources(client, "pair", {})
    with pytest.raises(ConfigError, match=r"resources\.segment: none of 2 .* offers GPU=2"):
        check_resources(client, "segment", {"GPU": 2})


@pytest.mark.slow
def test_workers_of_this_machine_have_its_versions(client: Client) -> None:
    check_versions(client.get_versions(packages=SAME_VERSIONS))


@pytest.mark.full
@pytest.mark.slow
def test_a_stage_goes_to_workers_with_the_vault_that_it_needs(
    client: Client, tmp_path: Path, vault_folder: Path
) -> None:
    config = Config(store=str(tmp_path / "store"))
    context = open_context(config)
    begin(context, config)
    asked = client, context.store.url, context.run_id
    client.run(use_vault, str(vault_folder))
    assert fit_for(*asked, "ingest") is None

    nowhere = tmp_path / "elsewhere"
    first, second = client.run(os.getpid)
    client.run(use_vault, str(nowhere), workers=[first])
    assert fit_for(*asked, "ingest") == [second]
    assert fit_for(*asked, "radiomics") is None
    with dask.annotate(resources={}, workers=[second]):
        futures = [client.submit(os.getpid, pure=False) for _ in range(4)]
    assert set(client.gather(futures)) == {client.run(os.getpid, workers=[second])[second]}

    client.run(use_vault, str(nowhere))
    with pytest.raises(WorkerError, match=r"ingest needs the vault and none of 2 .* FVLM_VAULT"):
        fit_for(*asked, "ingest")
    assert fit_for(*asked, "radiomics") is None
    assert not nowhere.exists()

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "key").write_text("ab" * 32)
    client.run(use_vault, str(tmp_path / "other"))
    with pytest.raises(WorkerError, match="another key found"):
        fit_for(*asked, "ingest")
