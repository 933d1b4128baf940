"""The site: pages of the repository's root join it, and nothing in it loads from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"\[([^\]]*)\]\(([^):#\s]+)(#[^)\s]*)?\)")
NOTEBOOK = re.compile(r"\]\(((?:notebooks/)?[a-z-]+)\.ipynb\)")
LOADED = re.compile(rb"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>")
"""What a browser would fetch from elsewhere when it shows a page."""


def on_config(config: Any) -> Any:
    """All decisions stand at the end of the last part of the navigation."""
    pages = sorted(Path(config.docs_dir, "decisions").glob("*.md"))
    (last,) = config.nav[-1].values()
    last.append({"Decisions": [f"decisions/{page.name}" for page in pages]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the root, and a page for each notebook beside the notebook itself."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=LINK.sub(_moved, text)))
    for notebook in sorted(Path(config.docs_dir, "notebooks").glob("*.ipynb")):
        page = f"notebooks/{notebook.stem}.md"
        files.append(File.generated(config, page, content=_page_of(notebook)))
    return files


def on_page_markdown(markdown: str, **_given: Any) -> str:
    """Links of a page in docs/ to one of the root, and to a notebook, which has a page here."""
    for name, page in PAGES.items():
        markdown = markdown.replace(f"](../{name}", f"]({page}")
    return NOTEBOOK.sub(r"](\1.md)", markdown)


def _page_of(notebook: Path) -> str:
    """The cells of a notebook as Markdown, and a link to the file behind the title."""
    title, *cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    link = f'<a href="{notebook.name}" download>This page as a notebook</a>'
    parts = ["".join(title["source"]), link]
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts)


def _moved(found: re.Match[str]) -> str:
    """A link as it is below docs/; what lies in neither place is told, and leads nowhere."""
    text, target, anchor = found[1], found[2], found[3] or ""
    if target in PAGES:
        return f"[{text}]({PAGES[target]}{anchor})"
    if target == "docs/decisions/":
        return f"[{text}](decisions/0001-delta-lake.md)"
    if target.startswith("docs/"):
        return f"[{text}]({target.removeprefix('docs/')}{anchor})"
    return text


def on_post_build(config: Any) -> None:
    """Refuse a site that loads anything from elsewhere."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        loaded = [one for one in LOADED.findall(page.read_bytes()) if b'rel="canonical"' not in one]
        if loaded:
            raise PluginError(f"{page.name} loads from elsewhere: {loaded[0].decode()}")
