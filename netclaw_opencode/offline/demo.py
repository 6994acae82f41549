"""The script of the demo: a small coding task, done with OpenCode's own tools.

Owns what the stand-in writes and says. It must look like work, and be work: the file is real and is really run.
"""

from __future__ import annotations

from netclaw_opencode.offline.conversation import Conversation
from netclaw_opencode.offline.script import Script
from netclaw_opencode.offline.steps import Reasoning, Step, Text, ToolCall, Usage

DEMO_PROMPT = "Write slugify.py: a function that turns a title into a URL slug, with doctests. Then run the doctests."

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

_PAUSE_SECONDS = 0.4


def demo_script(*, pause_seconds: float = _PAUSE_SECONDS) -> Script:
    """A model that answers every prompt with the demo's task; ``pause_seconds`` makes it pleasant to watch."""

    def think_and_write(_conversation: Conversation) -> Step:
        arguments = {"filePath": "${directory}/slugify.py", "content": SLUGIFY}
        return (
            Reasoning("One module, standard library only. Accents need NFKD; the cut must fall between words."),
            Text("I'll write the module with its doctests first.", pause_seconds=pause_seconds),
            ToolCall("write", arguments, pause_seconds=pause_seconds),
            Usage(2_412, 391, reasoning_tokens=24),
        )

    def run_it(_conversation: Conversation) -> Step:
        arguments = {"command": "python3 slugify.py", "description": "Run the doctests of slugify.py"}
        return (ToolCall("bash", arguments, pause_seconds=pause_seconds), Usage(2_846, 38, cached_tokens=2_412))

    def report(conversation: Conversation) -> Step:
        shown = conversation.tool_results[-1].strip() if conversation.tool_results else "no output"
        text = (
            "I wrote `slugify.py`: `slugify(title, limit=60)` folds accents to ASCII, joins the words with hyphens and "
            f"cuts between words. Running it printed: {shown}."
        )
        usage = Usage(2_907, 52, cached_tokens=2_846)
        return (Text(text, piece_characters=24, pause_seconds=pause_seconds / 10), usage)

    return Script(title="Slugify module with doctests", default=(think_and_write, run_it, report))
