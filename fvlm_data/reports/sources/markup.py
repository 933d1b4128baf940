"""Plain text out of what comes as RTF, HTML or a file in base64 where text should stand."""

from __future__ import annotations

import base64
import binascii
import re
from html import unescape
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.attachments import UnreadError, content_text
from fvlm_data.reports.sources.html_text import holds_tags, html_text

if TYPE_CHECKING:
    from collections.abc import Callable

_RTF = "{\\rtf"
_ENTITY = re.compile(r"&(?:nbsp|lt|gt|amp|quot|apos|[a-z]uml|#\d{1,6}|#x[0-9a-f]{1,5});", re.I)
_BASE64 = re.compile(r"\s*(?:JVBER|/9j/|iVBOR|R0lGO|UEsDB|0M8R4|SUkq|TU0AK|e1xyd)[A-Za-z0-9+/=\s]+")
"""Beginnings in base64 of PDF, JPEG, PNG, GIF, ZIP, OLE, TIFF and RTF."""
_LEAST_BASE64 = 24
_FONT_TABLES, _PICTURES = 8, 1000
"""More than RTF holds that somebody wrote; the converter takes their square in time."""
BASE64_LINE = re.compile(r"\s*(?:[A-Za-z0-9+/]{24,}={0,2}|[A-Za-z0-9+/]{1,23}={1,2})\s*")
"""A line that can only be one of a file; a word that stands alone is none."""


def is_file(text: str) -> bool:
    """Whether a text is a file in base64, or the beginning of one."""
    return len(text.strip()) >= _LEAST_BASE64 and _BASE64.fullmatch(text) is not None


def plain_text(text: str) -> str:
    """The text without markup: RTF and HTML are read, all else is taken as it is.

    Raises:
        UnreadError: it is a file in base64 that holds no text.
    """
    if is_file(text):
        try:
            content = base64.b64decode(re.sub(r"\s", "", text), validate=True)
        except binascii.Error as error:
            raise UnreadError("not_text", "is a torn file, expected text; give it whole") from error
        return plain_text(content_text(content))
    if _RTF in text:
        return _without_rtf(text)
    if "<" in text and holds_tags(text):
        return html_text(text)
    return unescape(text) if "&" in text and _ENTITY.search(text) else text


def _without_rtf(text: str) -> str:
    """The text with each RTF document in it read; what stands around them is kept."""
    made = []
    at = 0
    while (start := text.find(_RTF, at)) >= 0:
        end = _end_of_group(text, start)
        made += [text[at:start], _rtf_text(text[start:end])]
        at = end
    return "\n".join(part.strip() for part in (*made, text[at:]) if part.strip())


def _end_of_group(text: str, start: int) -> int:
    """Where the group that opens at `start` ends; the text's end where nothing closes it."""
    depth = 0
    for brace in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0 and brace[0] == "}":
            return brace.end()
    return len(text)


def _rtf_text(document: str) -> str:
    import striprtf.striprtf

    to_text: Callable[..., str] = striprtf.striprtf.rtf_to_text
    if document.count("\\fonttbl") > _FONT_TABLES or document.count("\\pict") > _PICTURES:
        raise UnreadError("broken_markup", "holds RTF with too many tables of fonts or pictures")
    try:
        return to_text(document, errors="replace")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadError(
            "broken_markup",
            f"holds RTF that cannot be read ({type(error).__name__}); give it as text",
        ) from error
