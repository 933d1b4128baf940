"""The text that HTML shows, in one pass: cost is linear, and what is no tag of HTML stays.

The standard library's parser takes the square of the length where tags or comments are not closed.
"""

from __future__ import annotations

import re
from html import unescape

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
_TAG = re.compile(
    rf"</?(?:{'|'.join(sorted(_BLOCKS | _INLINE, key=len, reverse=True))})(?:\s[^<>]*)?/?>", re.I
)
_PAGE = re.compile(r"\s*(?:<\?xml|<!doctype|<!--|<html|<head|<body|<div|<p)[\s>\-]", re.I)
_PIECE = re.compile(r"(/?)([A-Za-z][\w:.-]*)((?:[\s/][^>]*)?)>", re.DOTALL)
_DECLARATION = re.compile(r"(?:!doctype|!\[|\?xml)[^>]*>", re.IGNORECASE)
_ASIDE = {"!--": "-->", "style": "</style", "script": "</script"}
"""What is not shown: how it opens behind "<", and the mark that ends it."""


def holds_tags(text: str) -> bool:
    """Whether there is a tag of HTML in a text."""
    return _TAG.search(text) is not None


def html_text(text: str) -> str:
    """Text of HTML: blocks are lines, cells of a row stand side by side.

    Line ends of a whole page mean nothing; those of text with a few tags in it are its own.
    """
    flows = _PAGE.match(text) is not None
    first, *pieces = _shown(text).split("<")
    made = [_words(first, flows=flows)]
    kept_lines = 0
    for piece in pieces:
        tag = _PIECE.match(piece)
        name = tag[2].lower() if tag else ""
        if tag and (name in _BLOCKS or name in _INLINE or ":" in name):
            kept_lines += 0 if name != "pre" else -1 if tag[1] else 1
            made.append(
                "\n" if name in _BLOCKS else " " if name in ("td", "th") and not tag[1] else ""
            )
            piece = piece[tag.end() :]
        elif (declared := _DECLARATION.match(piece)) is not None:
            piece = piece[declared.end() :]
        else:  # "<y and z>", "<5 mm"
            made.append("<")
        made.append(_words(piece, flows=flows and kept_lines <= 0))
    lines = (line.strip() for line in "".join(made).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _words(piece: str, *, flows: bool) -> str:
    text = unescape(piece)
    return re.sub(r"[ \t\r]*\n\s*", " ", text) if flows else text


def _shown(text: str) -> str:
    """The text without comments, styles and scripts; what is not closed is shown."""
    # lower-case letters of the same number: the offsets are those of the text
    lower = re.sub(r"[A-Z]+", lambda found: found[0].lower(), text)
    last = {mark: lower.rfind(mark) for mark in _ASIDE.values()}
    made = []
    at = 0
    for opened in re.finditer(r"<(!--|(?:style|script)(?=[\s>]))", lower):
        if opened.start() < at:
            continue
        mark = _ASIDE[opened[1]]
        end = lower.find(mark, opened.end()) if last[mark] >= opened.end() else -1
        if end >= 0:
            made.append(text[at : opened.start()])
            at = end + (len(mark) if mark == "-->" else 0)
    return "".join((*made, text[at:]))
