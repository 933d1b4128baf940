"""What a page holds, read as a browser would."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """Text, tags, attributes that load or link, and data blocks of a page."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.handlers: list[str] = []
        self.data: dict[str, Any] = {}
        self.shown = ""
        self._block: str | None = None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.handlers += [name for name in told if name.startswith("on")]
        self.loaded += [told[name] or "" for name in ("src", "srcset", "data") if name in told]
        if "href" in told:
            (self.loaded if tag == "link" else self.linked).append(told["href"] or "")
        if told.get("type") == "application/json":
            self._block = told["id"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._block is not None:
            self.data[self._block] = json.loads(data)
            self._block = None
        elif self.open[-1:] != ["script"]:
            self.shown += data
