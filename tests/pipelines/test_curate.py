from __future__ import annotations

import pytest
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from fvlm_data.errors import StoreError
from pipelines.alarms import alarmed
from pipelines.batches import settle, worth_another_try
from pipelines.care import compact, forget, verify
from pipelines.curate import curate, ingest, reports
from pipelines.withheld import ConnectionLostError, UnforeseenError, texts_withheld


def test_the_text_of_a_librarys_exception_is_withheld() -> None:
    with pytest.raises(UnforeseenError) as caught, texts_withheld():
        raise ValueError("PatientName DOE^JOHN")
    assert "ValueError at test_curate.py:" in str(caught.value)
    assert "DOE" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_our_own_sentences_pass() -> None:
    with pytest.raises(StoreError, match="no space left"), texts_withheld():
        raise StoreError("no space left")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (StoreError("no space left"), False),
        (UnforeseenError("ValueError at x.py:1"), False),
        (ConnectionLostError("ConnectionResetError at x.py:1"), True),
    ],
)
def test_only_a_lost_connection_is_worth_another_try(error: Exception, again: bool) -> None:
    assert worth_another_try(None, None, Failed(data=error)) is again


@pytest.mark.parametrize("lost", [ConnectionResetError, TimeoutError])
def test_a_lost_connection_is_told_as_such(lost: type[Exception]) -> None:
    with pytest.raises(ConnectionLostError), texts_withheld():
        raise lost("DOE^JOHN")


def test_prefect_keeps_neither_results_nor_prints() -> None:
    assert settle.cache_policy is NO_CACHE
    assert settle.persist_result is False
    for flow in (curate, ingest, reports, verify, compact, forget):
        assert flow.persist_result is False
        assert flow.log_prints is False
        assert flow.on_failure_hooks == flow.on_crashed_hooks == [alarmed]
    assert settle.task_run_name == "{stage} {number}"
