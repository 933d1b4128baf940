"""Letters of any language, as what stands between the brackets of a regular expression's class.

A class of ranges costs `re` what one of A to Z does; to ask for what is a letter costs more.
"""

from __future__ import annotations

LETTERS = (
    "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2c00-\ud7ff\uf900-\ufdff"
)
"""Letters in either case; marks and figures of other scripts stand between them."""
CAPITALS = "A-Z\u00c0-\u00d6\u00d8-\u00de" + "".join(
    filter(str.isupper, map(chr, range(0x100, 0x530)))
)
"""Capitals of the Latin, Greek and Cyrillic scripts."""
SMALL = "a-z\u00df-\u00f6\u00f8-\u00ff" + "".join(
    filter(str.islower, map(chr, range(0x100, 0x530)))
)
"""Small letters of the same scripts."""
