"""Checks that the tests of a package call on what it adds to the lists of this one.

Each raises AssertionError with what is wrong; CONTRIBUTING.md, section Extending, shows their use.
"""

from __future__ import annotations

from fvlm_data.testing.backends import check_backend
from fvlm_data.testing.exports import check_export
from fvlm_data.testing.report_sources import check_report_source
from fvlm_data.testing.sources import check_source
from fvlm_data.testing.stages import check_stage

__all__ = ["check_backend", "check_export", "check_report_source", "check_source", "check_stage"]
