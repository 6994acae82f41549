"""The documentation site: what is done to the pages for it, and that its check of links finds what is broken (`make site` builds it)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from scripts import check_site
from tests.docs.pages import ROOT

FOUND = {"README", "docs/hosts", "docs/decisions/README", "examples/smallest_host/README"}


@pytest.fixture
def conf() -> ModuleType:
    """The configuration of the site, as a module of its own for each test."""
    spec = importlib.util.spec_from_file_location("site_conf", ROOT / "docs" / "site" / "conf.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(conf: ModuleType, name: str, text: str) -> str:
    """A page's text as Sphinx gets it."""
    app, source = SimpleNamespace(env=SimpleNamespace(found_docs=FOUND)), [text]
    conf._read(app, name, source)
    return source[0]


@pytest.mark.parametrize(
    ("text", "local", "hosted"),
    [
        ("[a](../README.md#use-it)", "[a](../README.md#use-it)", None),
        ("[d](decisions/)", "[d](decisions/README.md)", None),
        ("[`x/`](../examples/smallest_host/)", "[`x/`](../examples/smallest_host/README.md)", None),
        ("[s](../schemas/actions/)", "s", "[s](https://h/o/r/blob/c/schemas/actions)"),
        ("[s](../skill.yaml)", "[s](../skill.yaml)", "[s](https://h/o/r/blob/c/skill.yaml)"),
        ("[w](https://example.org/a)", "[w](https://example.org/a)", None),
        ("`[d](decisions/)`", "`[d](decisions/)`", None),
        ("```\n[d](decisions/)\n```", "```\n[d](decisions/)\n```", None),
        ("[gone](missing.md)", "[gone](missing.md)", None),  # left for Sphinx to refuse
    ],
)
def test_links_lead_on_in_the_site(conf: ModuleType, text: str, local: str, hosted: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page stays a link, a folder becomes its read-me, any other file leads to the repository if that is known; code stays as it is."""
    assert read(conf, "docs/hosts", text) == local
    monkeypatch.setattr(conf, "REPOSITORY", "https://h/o/r/blob/c")
    assert read(conf, "docs/hosts", text) == (hosted or local)


def test_every_page_is_in_the_menu_of_the_site(conf: ModuleType) -> None:
    """A new page of `docs/` comes in by itself; the pages that are grouped exist."""
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "docs").glob("*.md")}
    app = SimpleNamespace(env=SimpleNamespace(found_docs=pages | {"docs/new"}))
    listed = set(re.findall(r"^/(.+)$", conf._contents(app), re.MULTILINE))
    assert pages | {"docs/new"} <= listed
    named = listed - {"docs/new"}
    assert [page for page in named if not any((ROOT / f"{page}{end}").is_file() for end in (".md", ".rst"))] == []


def test_the_check_finds_each_kind_of_broken_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, a missing anchor, a missing image; a whole site passes, and one with too few pages is none."""
    for number in range(check_site.FEWEST_PAGES):
        (tmp_path / f"{number}.html").write_text(
            '<h1 id="top">x</h1><a href="0.html#top">y</a><a href="https://no.where/">z</a>', encoding="utf-8"
        )
    assert check_site.main([str(tmp_path)]) == 0
    (tmp_path / "1.html").write_text(
        '<a href="gone.html">a</a><a href="0.html#gone">b</a><img src="no.png"><a href="#no">c</a>', encoding="utf-8"
    )
    assert check_site.main([str(tmp_path)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1].split(" ")[0] for line in told] == ["gone.html", "0.html#gone", "no.png", "#no"]
    (tmp_path / "1.html").unlink()
    assert check_site.main([str(tmp_path)]) == 1
