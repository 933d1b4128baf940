"""Dask workers of a flow: where they are, and whether they fit this process."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import Counter
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import dask
from distributed import Nanny, Scheduler, SpecCluster
from distributed.security import Security
from prefect_dask import DaskTaskRunner

from fvlm_data.errors import ConfigError, FvlmError
from fvlm_data.isolation.workers import Workers
from fvlm_data.run.records import read_run_config
from fvlm_data.run.stages import build_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from distributed import Client

    from fvlm_data.run.config import ExecutionConfig

log = logging.getLogger(__name__)

SAME_VERSIONS = (
    "prefect", "prefect-dask", "dask", "distributed", "cloudpickle", "pydantic", "fvlm",
)  # fmt: skip
"""Packages whose versions must match the client's: workers run Prefect's task engine."""

WORKERS_WITHIN_S = 60
WITHOUT_WORKER_S = 300


class WorkerError(FvlmError):
    """The Dask workers cannot do this flow's work."""


def task_runner(execution: ExecutionConfig) -> DaskTaskRunner:
    """The runner that a configuration asks for: a scheduler's address, or this machine."""
    if execution.dask.address:
        return DaskTaskRunner(address=execution.dask.address)
    offered: dict[str, float] = {}
    for needed in execution.resources.values():
        for name, amount in needed.items():
            offered[name] = max(amount, offered.get(name, 0.0))
    return DaskTaskRunner(
        cluster_class=local_cluster,
        cluster_kwargs={"workers": execution.workers, "offered": offered},
    )


def local_cluster(workers: int, offered: Mapping[str, float]) -> SpecCluster:
    """A scheduler and `workers` processes of one thread each on the loopback interface.

    The first worker offers all resources that stages ask for, so that work for one GPU runs one
    batch at a time. distributed's LocalCluster gives every worker the same resources. A
    scheduler runs whatever it is sent, so only this process, by a passing certificate, may
    speak to it: other users of the machine may not.
    """
    security = Security.temporary()
    place: dict[str, Any] = {
        "host": "127.0.0.1",
        "protocol": "tls://",
        "security": security,
        "dashboard": False,
    }
    common: dict[str, Any] = {
        **place,
        "nthreads": 1,
        "memory_limit": 0,  # a batch may need most of the memory; there are no results to spill
        "silence_logs": logging.WARNING,
    }
    # A batch that no worker left can take fails after a while; by default it waits for ever.
    with dask.config.set({"distributed.scheduler.no-workers-timeout": f"{WITHOUT_WORKER_S} s"}):
        return SpecCluster(
            scheduler={
                "cls": Scheduler,
                "options": {**place, "port": 0, "dashboard_address": "127.0.0.1:0"},
            },
            workers={
                number: {
                    "cls": Nanny,
                    "options": {**common, "resources": dict(offered) if number == 0 else {}},
                }
                for number in range(workers)
            },
            security=security,
            silence_logs=logging.WARNING,
        )


def connect(runner: DaskTaskRunner) -> Client:
    """The runner's client, once the cluster has a worker and all its workers fit.

    Raises:
        WorkerError: there is no scheduler or worker, or a worker has other versions.
    """
    place = runner.address or "this machine"
    try:
        client = runner.client
        client.wait_for_workers(1, timeout=WORKERS_WITHIN_S)
    except (OSError, TimeoutError) as error:
        raise WorkerError(
            f"Dask at {place}: no scheduler with a worker within {WORKERS_WITHIN_S} s "
            f"({type(error).__name__}); start `dask scheduler` and `dask worker`, or check "
            "execution.dask.address"
        ) from None
    check_versions(client.get_versions(packages=SAME_VERSIONS))
    return client


def check_versions(versions: Mapping[str, Any]) -> None:
    """Compare the workers' versions, as `Client.get_versions` gives them, with this process's.

    Of Python, the minor version must agree: a pickled function is bound to it, not to the patch.

    Raises:
        WorkerError: a worker differs; the sentence names all that differs there.
    """
    ours = _told(versions["client"])
    for address, worker in versions["workers"].items():
        theirs = _told(worker)
        differing = [
            f"{name} {theirs[name] or 'missing'} (expected {ours[name]})"
            for name in ours
            if theirs[name] != ours[name]
        ]
        if differing:
            raise WorkerError(
                f"Dask worker {address} differs from this process: {', '.join(differing)}; "
                "install both from the same constraints.txt, and the same fvlm"
            )


def neighbours(client: Client) -> int:
    """The most threads of workers that share a machine, and with it its memory."""
    threads: Counter[str] = Counter()
    for worker in _told_workers(client):
        threads[worker["host"]] += worker["nthreads"]
    return max(threads.values(), default=1)


def _told_workers(client: Client) -> list[Mapping[str, Any]]:
    """What the scheduler knows of each worker.

    `Client.scheduler_info` gives what the client keeps of an answer; a look that the client takes
    every few seconds by itself, without the workers, may replace that in between.
    """
    told = client.sync(client.scheduler.identity, n_workers=-1)
    return list(told["workers"].values())


@contextmanager
def own_process() -> Iterator[Workers]:
    """A process below this Dask worker's, kept for later batches; each thread has another."""
    kept = _kept()
    try:
        process = kept.pop()
    except IndexError:
        process = Workers(1)
    try:
        yield process
    finally:
        kept.append(process)


@cache
def _kept() -> list[Workers]:
    """Processes of this Dask worker that wait for work; they end with it."""
    return []


def check_resources(client: Client, stage: str, needed: Mapping[str, float]) -> None:
    """Refuse a stage whose resources no worker offers: Dask would wait for ever.

    Raises:
        ConfigError: no worker has them.
    """
    workers = _told_workers(client)
    if not any(
        all(worker["resources"].get(name, 0) >= amount for name, amount in needed.items())
        for worker in workers
    ):
        told = ", ".join(f"{name}={amount:g}" for name, amount in needed.items())
        raise ConfigError(
            f"execution.resources.{stage}: none of {len(workers)} Dask workers offers {told}; "
            f'start one with `dask worker ADDRESS --resources "{told}"`'
        )


def fit_for(client: Client, store: str, run_id: str, stage: str) -> list[str] | None:
    """Addresses of the workers that may have the batches of a stage; None: all may.

    A worker without a vault has none of a stage that needs one.

    Raises:
        WorkerError: a worker cannot read the store or its vault, or has a vault of another key
            (its ids would differ silently), or none has what the stage needs.
    """
    needs_vault = build_stage(stage, read_run_config(store, run_id)).needs_vault
    ask = vault_mark if needs_vault else store_read
    ours = ask(store, run_id)
    fit, others = [], []
    for address, theirs in _asked(client, ask, store, run_id):
        if isinstance(theirs, BaseException):
            told = str(theirs) if isinstance(theirs, FvlmError) else type(theirs).__name__
            raise WorkerError(f"Dask worker {address}: {told}")
        if theirs == ours:
            fit.append(address)
        elif theirs is None:
            others.append(address)
        else:
            raise WorkerError(
                f"Dask worker {address}: another key found, expected the vault of this process; "
                "set FVLM_VAULT in the worker's environment to a folder that both can read"
            )
    if not fit:
        raise WorkerError(
            f"stage {stage} needs the vault and none of {len(others)} Dask workers has one "
            f"({others[0]} among them): no vault found, expected that of this process; set "
            "FVLM_VAULT in the environment of one to a folder that both can read"
        )
    if others:
        log.warning(
            "stage %s needs the vault: %d of %d Dask workers have none and get no batch of it",
            stage, len(others), len(fit) + len(others),
        )  # fmt: skip
    return fit if others else None


def store_read(store: str, run_id: str) -> bool:
    """Whether this process reads the store: it does, or an error says why not.

    Raises:
        StoreError: it does not.
    """
    read_run_config(store, run_id)
    return True


def vault_mark(store: str, run_id: str) -> str | None:
    """A mark of the key in this process's vault that does not give it away; None without one."""
    from fvlm_data.identity.vault import Vault, default_vault_folder
    from fvlm_data.run.vault_extent import check_vault_extent
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

    config = read_run_config(store, run_id)
    folder = config.identity.vault or default_vault_folder(Store.open(store).store_id)
    if not (folder / "key").exists():
        return None  # opening would make a vault with a fresh key
    check_vault_extent(Context(Store.open(store), Vault.open(folder), run_id))
    # keyed by the run: the mark travels over the network and says nothing about other runs
    return hmac.new(Vault.open(folder).key, run_id.encode(), hashlib.sha256).hexdigest()


def _asked(
    client: Client, ask: Callable[[str, str], Any], store: str, run_id: str
) -> Iterator[tuple[str, Any]]:
    try:
        marks = client.run(ask, store, run_id, on_error="return")
    except (ImportError, AttributeError, OSError) as error:
        raise WorkerError(
            f"the Dask workers cannot run this package ({type(error).__name__}); install the "
            "same fvlm there, and start them from a folder without a `pipelines` of its own"
        ) from None
    yield from marks.items()


def _told(side: Mapping[str, Any]) -> dict[str, str | None]:
    packages = side["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"python": python, **{name: packages.get(name) for name in SAME_VERSIONS}}
