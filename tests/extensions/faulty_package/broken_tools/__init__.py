"""A package that was written for another Python: it cannot be imported."""

import a_module_that_nobody_has  # noqa: F401
