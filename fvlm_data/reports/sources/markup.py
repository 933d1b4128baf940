"""Plain text out of what comes as RTF, HTML or a file in base64 where text should stand."""

from __future__ import annotations

import base64
import binascii
import html
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.sources.attachments import UnreadError, content_text

if TYPE_CHECKING:
    from collections.abc import Callable

_RTF = "{\\rtf"
_BLOCK_TAGS = (
    "br p div li tr h1 h2 h3 h4 h5 h6 pre table ul ol dl dt dd hr section article header footer "
    "blockquote title body center caption"
)
_INLINE_TAGS = (
    "html head thead tbody tfoot td th span font b i u s em strong small sup sub a meta link img "
    "col colgroup style script main nav address code tt big mark del ins abbr cite q label form "
    "input button figure figcaption svg kbd samp var dfn wbr"
)
_BLOCKS, _INLINE = frozenset(_BLOCK_TAGS.split()), frozenset(_INLINE_TAGS.split())
_UNSEEN = frozenset({"style", "script"})
_TAG = re.compile(
    rf"</?(?:{'|'.join(sorted(_BLOCKS | _INLINE, key=len, reverse=True))})(?:\s[^<>]*)?/?>", re.I
)
_ENTITY = re.compile(r"&(?:nbsp|lt|gt|amp|quot|apos|[a-z]uml|#\d{1,6}|#x[0-9a-f]{1,5});", re.I)
_PAGE = re.compile(r"\s*(?:<\?xml|<!doctype|<!--|<html|<head|<body|<div|<p)[\s>\-]", re.I)
_BASE64 = re.compile(r"\s*(?:JVBER|/9j/|iVBOR|R0lGO|UEsDB|0M8R4|SUkq|TU0AK|e1xyd)[A-Za-z0-9+/=\s]+")
"""Beginnings in base64 of PDF, JPEG, PNG, GIF, ZIP, OLE, TIFF and RTF."""
_LEAST_BASE64 = 24
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
    if _TAG.search(text):
        return html_text(text)
    return html.unescape(text) if _ENTITY.search(text) else text


def html_text(text: str) -> str:
    """Text of HTML: blocks are lines, cells of a row stand side by side.

    Line ends of a whole page mean nothing; those of text with a few tags in it are its own.
    """
    words = _Words(page=_PAGE.match(text) is not None)
    words.feed(text)
    words.close()
    lines = (line.strip() for line in "".join(words.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Words(HTMLParser):
    def __init__(self, *, page: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._page = page
        self._unseen = 0
        self._kept_lines = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in _BLOCKS and tag not in _INLINE and ":" not in tag:  # "<y and z>"
            self.handle_data(self.get_starttag_text() or "")
        self._unseen += tag in _UNSEEN
        self._kept_lines += tag == "pre"
        if tag in ("td", "th"):
            self.pieces.append(" ")
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN
        self._kept_lines -= tag == "pre"
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._unseen <= 0:
            flows = self._page and self._kept_lines <= 0
            self.pieces.append(re.sub(r"\s*\n\s*", " ", data) if flows else data)


def _without_rtf(text: str) -> str:
    """The text with each RTF document in it read; what stands around them is kept."""
    made = []
    while (start := text.find(_RTF)) >= 0:
        end = _end_of_group(text, start)
        made += [text[:start], _rtf_text(text[start:end])]
        text = text[end:]
    return "\n".join(part.strip() for part in (*made, text) if part.strip())


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
    try:
        return to_text(document, errors="replace")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadError(
            "broken_markup",
            f"holds RTF that cannot be read ({type(error).__name__}); give it as text",
        ) from error
