"""Whether a person looks from a notebook, and showing things there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def shown_in_notebook(html: Callable[[], str]) -> bool:
    """Show HTML in the cell of a notebook; False where this process serves none.

    `html` is made only where it is shown: pictures in it may need whole volumes.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    # IPython in a terminal has no kernel, and shows no HTML
    if shell is None or not hasattr(shell, "kernel"):
        return False
    from importlib import import_module

    shown = import_module("IPython.display")
    shown.display(shown.HTML(html()))
    return True
