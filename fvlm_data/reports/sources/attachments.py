"""Files within a report (PDF, RTF, images): their text, or why there is none."""

from __future__ import annotations

import codecs
import io
import re
from importlib.util import find_spec

from fvlm_data.memory import lacks_memory
from fvlm_data.reports.sources.rows import decoded_bytes

_NO_TEXT = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF"), (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"), (b"BM", "bitmap"), (b"PK\x03\x04", "ZIP or Office"),
    (b"\xd0\xcf\x11\xe0", "Office"), (b"RIFF", "sound or video"), (b"\x1f\x8b", "gzip"),
)  # fmt: skip
_MEDIA = re.compile(r"\b(?:image|im|audio|video|jpe?g|png|gif|tiff?|dicom|zip)\b", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class UnreadError(Exception):
    """A part of a report gives no text; `reason` is the code under which it is set aside."""

    def __init__(self, reason: str, detail: str) -> None:
        """`detail` goes on after the name of the part."""
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def content_text(content: bytes, kind: str = "", charset: str = "") -> str:
    """Text of a file's bytes, its markup not yet taken away.

    `kind` is what the sender calls it (`application/pdf`, `IM JPEG`); the bytes are believed
    before it. Without a `charset` they are UTF-8 or Windows-1252.

    Raises:
        UnreadError: it is an image, an Office file or a PDF without text.
    """
    if content.lstrip()[:5] == b"%PDF-":
        return _pdf_text(content)
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    named = next((name for start, name in _NO_TEXT if content.startswith(start)), "")
    # a bitmap is known by two letters, with which a report may begin too
    if (named == "bitmap" or not named) and not wide and not _CONTROL.search(content):
        named = "PDF" if "pdf" in kind.lower() else ""
        if not named and not _MEDIA.search(kind):
            return _decoded(content, charset)
    elif wide:
        return content.decode("utf-16", "replace")
    raise UnreadError("not_text", f"is {named or 'no text'}, expected text; give it as text")


def _decoded(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, "replace") if charset else decoded_bytes(content)
    except LookupError:
        return decoded_bytes(content)


def _pdf_text(content: bytes) -> str:
    if find_spec("pypdf") is None:
        raise UnreadError(
            "not_text", "is a PDF, expected text; give it as text, or install fvlm[pdf] to read it"
        )
    import pypdf

    try:
        pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages]
    except Exception as error:  # a damaged PDF makes pypdf raise whatever its parts raise
        if lacks_memory(error):
            raise MemoryError from error
        raise UnreadError(
            "not_text", f"is a PDF that cannot be read ({type(error).__name__}); give it as text"
        ) from error
    text = "\n".join(pages)
    if not re.search(r"\w", text):
        raise UnreadError("not_text", "is a PDF of images without text; give it as text")
    return text
