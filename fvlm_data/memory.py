"""Want of memory or disk, by whatever name it is told: the machine's fault, not the data's."""

from __future__ import annotations

import errno
import re

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}

SIGNS = (
    *("bad_alloc", "cannot allocate memory", "can't allocate memory", "can't start new thread"),
    *("insufficient memory", "memoryerror", "not enough memory", "out of memory"),
    "unable to allocate",
)
"""In lower case: of C++, glibc, torch, Python, zlib and numpy; pydicom quotes them."""

WORDLESS = re.compile(r"raised by all available plugins:.*\n\s+[\w-]+: ?\Z", re.DOTALL)
"""pydicom keeps only the words of what a decoder raised, and a MemoryError most often has none."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception, or one that it came of, says that memory did not suffice."""
    told: BaseException | None = error
    while told is not None:
        if isinstance(told, MemoryError) or getattr(told, "errno", None) == errno.ENOMEM:
            return True
        text = str(told)
        if any(sign in text.lower() for sign in SIGNS) or WORDLESS.search(text):
            return True
        told = told.__cause__ or told.__context__
    return False
