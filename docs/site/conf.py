"""The documentation site: the pages of this repository as they stand, and the API reference from the docstrings.

The source tree of Sphinx is the repository itself, so that a relative link means the same here as on GitHub. Owns which pages are
in, how they are grouped, and where links to files that are no pages lead. ``make site`` builds it; nothing is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from netclaw_opencode import __version__  # noqa: E402 - the checkout around this file

project = "netclaw-opencode"
author = "The netclaw-opencode authors"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "docs/site/reference/*.rst", "examples/*/README.md", "references/*.md"]
exclude_patterns = [".*", "build", "dist", "tests", "netclaw_opencode", "schemas", "scripts", "**/__pycache__"]

myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = [
    "myst.header",  # pages made for GitHub may begin below the first level
    "misc.highlighting_failure",  # a block may show an excerpt
    "toc.not_included",  # read-me files of folders are reached by links
    "ref.python",  # several classes have a field of the same name
]

# Google style; what stands in a docstring is the description, and types come from the signatures.
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True, "undoc-members": True, "inherited-members": False}
add_module_names = False
toc_object_entries = False  # a page has up to 150 classes, and its entries would stand in the menu of every other page
python_use_unqualified_type_names = True
maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"netclaw-opencode {release}"
html_show_sphinx = False
html_copy_source = False
smartquotes = False

REPOSITORY = os.environ.get("SITE_REPOSITORY", "").rstrip("/")
"""Where the files of this commit can be read, such as https://github.com/OWNER/netclaw-opencode/blob/COMMIT; a link to a file that is
no page leads there. Without it, such a file is offered for download, and a folder is named without a link."""

GROUPS = {
    "Use it": ["python", "workflows", "actions", "errors", "settings", "policy", "record", "doctor"],
    "Rely on it": ["safety", "reliability", "life", "harbor"],
    "Hosts and skills": ["hosts", "mcp", "host-guide", "testing", "authors", "rules"],
    "Work on it": ["architecture", "decisions/README"],
}
MORE = {"Work on it": ["CONTRIBUTING", "SECURITY", "CODE_OF_CONDUCT", "CHANGELOG"]}
REFERENCE = ["python", "results", "errors", "host", "testing"]
# Code first, so that a link inside it stays as it is; an image is no link.
_WORDS = r"(?P<words>(?:[^\[\]]|\[[^\]]*\])*)"
_CODE_OR_LINK = re.compile(
    rf"^ *(?P<fence>`{{3,}}|~{{3,}}).*?^ *(?P=fence)`*$|`[^`\n]+`|!?\[{_WORDS}\]\((?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)",
    re.MULTILINE | re.DOTALL,
)


def setup(app: Sphinx) -> None:
    """Connect to the build."""
    app.connect("source-read", _read)
    app.connect("build-finished", _finish)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    if not name.startswith("docs/site/"):
        source[0] = _CODE_OR_LINK.sub(lambda found: _target(app, name, found), source[0])
    if name == root_doc:
        source[0] += _contents(app)
    elif name == "docs/rules":
        source[0] += _toctree("", sorted(page for page in app.env.found_docs if page.startswith("docs/rules/")))
    elif name == "docs/decisions/README":
        source[0] += _toctree("", sorted(page for page in app.env.found_docs if re.match(r"docs/decisions/\d", page)))


def _contents(app: Sphinx) -> str:
    listed = {f"docs/{page}" for pages in GROUPS.values() for page in pages}
    # A page that is in no group is shown all the same.
    others = sorted(page for page in app.env.found_docs if re.fullmatch(r"docs/[^/]+", page) and page not in listed)
    trees = []
    for title, pages in GROUPS.items():
        rest = others if title == "Use it" else []
        trees.append(_toctree(title, [*(f"docs/{page}" for page in pages), *rest, *MORE.get(title, ())]))
        if title == "Use it":
            trees.append(_toctree("API reference", [f"docs/site/reference/{page}" for page in REFERENCE]))
    return "".join(trees)


def _toctree(title: str, pages: list[str]) -> str:
    lines = "\n".join(f"/{page}" for page in pages)
    caption = f":caption: {title}\n:hidden:\n" if title else ""
    return f"\n\n```{{toctree}}\n:maxdepth: 1\n{caption}\n{lines}\n```\n"


def _target(app: Sphinx, name: str, found: re.Match[str]) -> str:
    """A link that leads to a folder or to a file that is no page, as the site can have it; anything else as it is."""
    words, path, anchor = found["words"], found["path"], found["anchor"] or ""
    if path is None or found[0].startswith("!") or re.match(r"[a-z]+:", path):
        return found[0]
    place = (ROOT / name).parent / path
    where = Path(os.path.normpath(place)).relative_to(ROOT).as_posix()
    if f"{where}/README" in app.env.found_docs:
        return f"[{words}]({path.rstrip('/')}/README.md{anchor})"
    if where.removesuffix(".md") in app.env.found_docs or not place.exists():
        return found[0]
    if REPOSITORY:
        return f"[{words}]({REPOSITORY}/{where}{anchor})"
    return str(words) if place.is_dir() else found[0]


def _finish(app: Sphinx, failed: Exception | None) -> None:
    """The first page is also found under the name that servers look for."""
    if failed is None and app.builder.format == "html":
        shutil.copyfile(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))
