"""Where links and names of files lead: into the skill, into the plugin or repository around it, or nowhere.

Owns the resolving. An address, a placeholder for a value, a glob or an invented example is no path.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from netclaw_opencode.skill.check.files import SkillFiles
from netclaw_opencode.skill.check.findings import Finding, finding
from netclaw_opencode.skill.check.hosts import CONTRACT, PLUGIN_FOLDERS, SKILL_FOLDERS
from netclaw_opencode.skill.check.markdown import Link, Markdown, Mention
from netclaw_opencode.skill.check.places import PAGE, is_inside, plugin_of
from netclaw_opencode.skill.check.rules import Severity

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
# What stands for something that the reader fills in, or matches many names.
_FILLED_IN = re.compile(r"[<>{}$*|\[\]…]|\.\.\.|^%|\bYYYY\b|\bNNN?N?\b|\bXXX*\b")
_INVENTED = re.compile(
    r"(?:^|/)(?:path|link|url|uri|href|target|file|filename|image|example|your-[\w-]+|foo|bar|some-?[\w-]*)(?:/|\.\w+$|$)", re.IGNORECASE
)
# Folders whose texts are filled in elsewhere, so that their links are right there and not here.
_FILLED_IN_ELSEWHERE = {
    *("assets", "templates", "template", "examples", "example", "fixtures", "tests", "test", "evals", "node_modules", "vendor")
}
_NO_FILE = {"", ".", "..", "/"}


class Links:
    """The links of one skill."""

    def __init__(self, files: SkillFiles, pages: dict[str, Markdown]) -> None:
        self.files, self.pages = files, pages
        self.package = files.package
        self.plugin = plugin_of(self.package)
        self.named: set[str] = set()
        self.reached = self._reach()

    def findings(self) -> Iterator[Finding]:
        """Everything that leads nowhere or elsewhere, and the files that nothing leads to."""
        for name, page in self.pages.items():
            reported: set[str] = set()
            for link in page.links:
                if link.target not in reported:
                    reported.add(link.target)
                    yield from self._link(name, page, link)
            for mention in page.mentions:
                if mention.path not in reported:
                    reported.add(mention.path)
                    yield from self._mention(name, mention)
        yield from self._orphans()

    def _reach(self) -> set[str]:
        """Return the Markdown files that an agent comes to from the page, by links or by name."""
        reached: set[str] = set()
        pending = [self.package.page]
        while pending:
            name = pending.pop()
            if name in reached or name not in self.pages:
                continue
            reached.add(name)
            page = self.pages[name]
            targets = [link.target for link in page.links] + [mention.path for mention in page.mentions]
            for target in targets:
                for path in self._candidates(name, target.partition("#")[0]):
                    relative = self._relative(path)
                    if relative is not None:
                        self.named.add(relative)
                        pending.append(relative)
        return reached

    def _at_most(self, name: str) -> Severity:
        """Return a text that no agent is led to, or that is filled in elsewhere, is weaker evidence."""
        elsewhere = (
            any(part.lower() in _FILLED_IN_ELSEWHERE for part in name.split("/")[:-1]) or "template" in name.rpartition("/")[2].lower()
        )
        return "warning" if elsewhere or name not in self.reached else "error"

    def _relative(self, path: Path) -> str | None:
        try:
            relative = posixpath.normpath(path.relative_to(self.package.folder).as_posix())
        except ValueError:
            return None
        return relative if relative in self.files.kinds else None

    def _candidates(self, name: str, target: str) -> Iterator[Path]:
        """Return where a path may lead: from the skill's folder, as the specification says, or from the file that it stands in."""
        folder = self.package.folder
        for start in SKILL_FOLDERS:
            if target.startswith(f"{start}/"):
                yield _joined(folder, target[len(start) + 1 :])
                return
        for start in PLUGIN_FOLDERS:
            if target.startswith(f"{start}/"):
                yield _joined(self.plugin or folder, target[len(start) + 1 :])
                return
        if target.startswith("/"):
            if self.package.root is not None:
                yield _joined(self.package.root, target.lstrip("/"))
            yield Path(target)
            return
        yield _joined((folder / name).parent, target)
        yield _joined(folder, target)

    def _link(self, name: str, page: Markdown, link: Link) -> Iterator[Finding]:
        target, hash_, anchor = link.target.partition("#")
        at = (link.line, link.column)
        if not target:
            if hash_ and anchor and not _has_anchor(page, anchor):
                yield finding(name, "anchor_missing", f"the page has no heading for #{anchor[:80]}", _nearest_anchor(page, anchor), at=at)
            return
        path = target.partition("?")[0]
        if _SCHEME.match(target) or "\0" in target or not self._is_path(path):
            return
        shown = path[:100]
        candidates = list(self._candidates(name, path))
        there = [candidate for candidate in candidates if _exists(candidate)]
        inside = [candidate for candidate in there if is_inside(self.package.folder, candidate)]
        if path.startswith("/") and not inside:
            if not there or self.package.root is None or not is_inside(self.package.root, there[0]):
                yield finding(name, "path_outside", f"{shown!r} leads out of the skill", at=at)
        elif not there:
            around = [each for each in (self.package.folder, self.package.root) if each is not None]
            if any(candidate.is_relative_to(each) for each in around for candidate in candidates):
                yield self._missing(name, path, "file_missing", at, candidates)
            else:
                yield finding(name, "path_outside", f"{shown!r} leads out of the skill", at=at)
        elif not inside:
            root = self.package.root
            if root is not None and is_inside(root, there[0]):
                yield finding(name, "link_leaves_skill", f"{shown!r} lies in the {self._around(there[0])} around the skill", at=at)
            else:
                yield finding(name, "path_outside", f"{shown!r} leads out of the skill", at=at)
        elif anchor:
            relative = self._relative(inside[0])
            other = self.pages.get(relative or "")
            if other is not None and not _has_anchor(other, anchor):
                remedy = _nearest_anchor(other, anchor)
                yield finding(name, "anchor_missing", f"{relative} has no heading for #{anchor[:80]}", remedy, at=at)

    def _around(self, path: Path) -> str:
        return "plugin" if self.plugin is not None and is_inside(self.plugin, path) else "repository"

    def _is_path(self, path: str) -> bool:
        for start in (*SKILL_FOLDERS, *PLUGIN_FOLDERS):
            path = path.removeprefix(start)
        if path.strip() in _NO_FILE or _FILLED_IN.search(path):
            return False
        if _INVENTED.search(path):
            return False
        # A word without a dot or a slash is an invented example such as [text](url), unless such a file is there.
        return "/" in path or "." in path

    def _mention(self, name: str, mention: Mention) -> Iterator[Finding]:
        path = mention.path
        started = path.startswith((*SKILL_FOLDERS, *PLUGIN_FOLDERS))
        bare = path.removeprefix("./")
        if not self._is_path(path) or any(_exists(each) for each in self._candidates(name, bare)):
            return
        if any(_exists(around / bare) for around in (self.package.root, self.plugin) if around is not None):
            return
        top = self.package.folder / bare.partition("/")[0]
        strong = started or (_exists(top) and mention.where != "prose")
        if mention.in_example or self._at_most(name) != "error":
            strong = False
        hosts = () if strong else (CONTRACT,)
        candidates = list(self._candidates(name, bare))
        yield self._missing(name, path, "mention_missing", (mention.line, mention.column), candidates, hosts=hosts)

    def _missing(
        self, name: str, path: str, code: str, at: tuple[int, int], candidates: list[Path], *, hosts: tuple[str, ...] = ()
    ) -> Finding:
        near = self._nearest(name, path, candidates)
        remedy = f"did you mean {near}?" if near else None
        return finding(name, code, f"{path[:100]!r} is not there", remedy, at=at, hosts=hosts, at_most=self._at_most(name))

    def _nearest(self, name: str, path: str, candidates: list[Path]) -> str | None:
        """Return the existing file most like a missing one: of the same name elsewhere in the skill, or spelt nearly so."""
        inside = [each.relative_to(self.package.folder).as_posix() for each in candidates if each.is_relative_to(self.package.folder)]
        wanted = inside[0] if inside else path
        known = list(self.files.kinds)
        last = wanted.rpartition("/")[2].lower()
        same = [each for each in known if each.rpartition("/")[2].lower() == last and each != self.package.page]
        near = same or difflib.get_close_matches(wanted, known, n=1, cutoff=0.8)
        if not near:
            return None
        return posixpath.relpath(near[0], posixpath.dirname(name) or ".")

    def _orphans(self) -> Iterator[Finding]:
        if self.package.is_project or PAGE not in self.files.kinds:
            return
        texts = "\n".join(self.files.texts.values())
        for relative, kind in self.files.kinds.items():
            top, _, rest = relative.partition("/")
            if kind != "file" or not rest or top not in ("references", "scripts", "assets") or relative in self.named:
                continue
            if relative.rpartition("/")[2] not in texts and not relative.endswith(("__init__.py", ".gitkeep")):
                yield finding(relative, "orphan_file", "no text of the skill names it")


def _joined(folder: Path, path: str) -> Path:
    return Path(posixpath.normpath(f"{folder.as_posix()}/{path}"))


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError):  # a name that is too long for any file, a NUL
        return False


def _has_anchor(page: Markdown, anchor: str) -> bool:
    wanted = anchor.lower()
    known = {each.lower() for each in page.anchors}
    # Lines of code (#L10) and texts (#:~:text=) are no headings; some writers keep or drop dashes and underscores.
    return wanted in known or bool(re.match(r"top$|l\d+|:~:", wanted)) or _plain(wanted) in {_plain(each) for each in known}


def _plain(anchor: str) -> str:
    return re.sub(r"[\W_]+", "", anchor)


def _nearest_anchor(page: Markdown, anchor: str) -> str | None:
    near = difflib.get_close_matches(anchor, page.anchors, n=1)
    return f"did you mean #{near[0]}?" if near else None


__all__ = ["Links"]
