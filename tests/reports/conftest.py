from __future__ import annotations

import pytest

from fvlm_data.reports import ReportParser


@pytest.fixture(scope="session")
def parser() -> ReportParser:
    return ReportParser()
