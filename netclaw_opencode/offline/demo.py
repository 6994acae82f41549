"""The script of the demo: a small coding task, done with OpenCode's own tools.

Owns what the stand-in writes and says. It must look like work, and be work: the file is real and is really run.
"""

from __future__ import annotations

from netclaw_opencode.offline.conversation import Conversation
from netclaw_opencode.offline.script import Script
from netclaw_opencode.offline.steps import Reasoning, Step, Text, ToolCall, Usage

DEMO_PROMPT = "Write slugify.py: a function that turns a title into a URL slug, with doctests."
DEMO_CHECK = ("python3", "slugify.py")
"""What judges the work: the module runs its own doctests."""

SLUGIFY = '''\
"""Turn titles into URL slugs."""

import re
import unicodedata


def slugify(title: str, *, limit: int = 60) -> str:
    """Return a lower-case ASCII slug of at most ``limit`` characters, cut between words.

    >>> slugify("Hello, World!")
    'hello-world'
    >>> slugify("  Crème brûlée  (à la carte) ")
    'creme-brulee-a-la-carte'
    >>> slugify("one two three", limit=9)
    'one-two'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain.lower()))
    if len(slug) <= limit:
        return slug
    return slug[: limit + 1].rpartition("-")[0] or slug[:limit]


if __name__ == "__main__":
    import doctest

    failed, run = doctest.testmod()
    print(f"{run - failed} of {run} doctests pass")
    raise SystemExit(bool(failed))
'''

_RIGHT = '    return slug[: limit + 1].rpartition("-")[0] or slug[:limit]\n'
_WRONG = "    return slug[:limit]\n"
"""What the stand-in writes first: it cuts in the middle of a word, which a doctest shows."""

_PAUSE_SECONDS = 0.4


def demo_script(*, pause_seconds: float = _PAUSE_SECONDS) -> Script:
    """A model that answers every prompt with the demo's task; ``pause_seconds`` makes it pleasant to watch."""

    def think_and_write(_conversation: Conversation) -> Step:
        arguments = {"filePath": "${directory}/slugify.py", "content": SLUGIFY.replace(_RIGHT, _WRONG)}
        return (
            Reasoning("One module, standard library only. Accents need NFKD."),
            Text("I'll write the module with its doctests.", pause_seconds=pause_seconds),
            ToolCall("write", arguments, pause_seconds=pause_seconds),
            Usage(2_412, 391, reasoning_tokens=24),
        )

    def report(_conversation: Conversation) -> Step:
        text = "I wrote `slugify.py`: `slugify(title, limit=60)` folds accents to ASCII and joins the words with hyphens."
        return (Text(text, piece_characters=24, pause_seconds=pause_seconds / 10), Usage(2_907, 52, cached_tokens=2_412))

    def mend(_conversation: Conversation) -> Step:
        arguments = {"filePath": "${directory}/slugify.py", "oldString": _WRONG, "newString": _RIGHT}
        return (
            Text("The cut must fall between words.", pause_seconds=pause_seconds),
            ToolCall("edit", arguments, pause_seconds=pause_seconds),
            Usage(3_346, 38, cached_tokens=2_907),
        )

    def report_mended(_conversation: Conversation) -> Step:
        text = "Mended: a slug that is too long is now cut between words."
        return (Text(text, piece_characters=24, pause_seconds=pause_seconds / 10), Usage(3_407, 31, cached_tokens=3_346))

    script = Script(title="Slugify module with doctests", default=(think_and_write, report))
    script.when("this check fails", mend, report_mended)
    return script
