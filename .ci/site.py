"""The hooks of mkdocs.yml: what the site needs in addition to MkDocs.

The pages that stand outside of docs/ become pages too; a link to a page follows it, a link to a source file becomes its
name; and a built page that loads anything from another host fails the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "RELEASING.md": "releasing.md",
    **{f"plugins/{path.name}/README.md": f"plugins/{path.name}.md" for path in (ROOT / "plugins").glob("vidpoll-*")},
}
"""Pages of the repository that stand outside of docs/, and where they stand in the site."""

LINK = re.compile(r"(!?)\[((?:[^][]|\[[^]]*\])*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
NESTED = re.compile(r"^ {2,3}(?=[-*] )", re.MULTILINE)  # Markdown's first form wants four spaces where forges take two
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
LOADED = re.compile(
    r"""(?:<(?:script|img|iframe|source)\b[^>]*\ssrc|<link\b[^>]*\shref)=["']?((?:https?:)?//[^"'\s>]+)"""
)
CSS = re.compile(r"""(?:url\(|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand outside of docs/."""
    for path, name in OUTSIDE.items():
        if (ROOT / path).exists():
            files.append(File.generated(config, name, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links of the repository into links of the site, outside of code."""
    name = page.file.src_uri
    home = {new: old for old, new in OUTSIDE.items()}.get(name, f"docs/{name}")
    parts = FENCE.split(NESTED.sub("    ", markdown))
    return "".join(
        part if part.startswith("```") else LINK.sub(lambda found: link(found, home, name), part) for part in parts
    )


def link(found: re.Match[str], home: str, name: str) -> str:
    """One link of the page that stands at `home` in the repository and at `name` in the site."""
    picture, text, to, anchor = found.groups("")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(home), to))
    target = OUTSIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
    if target is None:  # a file of the source: it is no page
        if not (ROOT / path).exists():
            raise PluginError(f"{home}: a link leads to {path}, which is not there")
        return text
    return f"{picture}[{text}]({posixpath.relpath(target, posixpath.dirname(name) or '.')}{anchor})"


def on_post_build(config: Any) -> None:
    """Fail where a built page or style loads something from another host."""
    site = Path(config.site_dir)
    found = [
        f"{path.relative_to(site)}: {url}"
        for pattern, kind in ((LOADED, "*.html"), (CSS, "*.css"))
        for path in sorted(site.rglob(kind))
        for url in pattern.findall(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise PluginError("loaded from another host:\n" + "\n".join(found))
