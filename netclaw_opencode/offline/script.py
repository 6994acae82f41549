"""Which step answers which model call.

Owns the choice by the last prompt and by the number of answers since. Does not stream anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from netclaw_opencode.offline.conversation import Conversation
from netclaw_opencode.offline.steps import Step, Text, parts_of

Reply = Step | Callable[[Conversation], Step]
DEFAULT_TITLE = "Scripted session"
DEFAULT_SUMMARY = "A summary of what was asked and done so far."


def echo(conversation: Conversation) -> Step:
    """The default answer: the prompt itself."""
    return Text(conversation.prompt)


class Script:
    """Rules from a prompt to steps; safe to change while the model answers.

    ``title`` answers the title call (F9), ``summary`` the call in which OpenCode has a full context summed up (F58). A prompt without
    a rule is answered by ``default``.
    """

    def __init__(self, *, title: str = DEFAULT_TITLE, default: Sequence[Reply] = (echo,)) -> None:
        if not default:
            raise ValueError("the default needs at least one step")
        _check(default)
        self.title = title
        self.default = tuple(default)
        self.summary: Reply = Text(DEFAULT_SUMMARY)
        self._rules: dict[str, tuple[Reply, ...]] = {}
        self._lock = threading.Lock()

    def when(self, text: str, *steps: Reply) -> None:
        """Answer a turn whose prompt holds ``text`` by these steps, one per model call; the last one repeats.

        The longest text that fits decides, so that a rule for one prompt is not caught by one for many.
        """
        if not steps:
            raise ValueError("a rule needs at least one step")
        _check(steps)
        with self._lock:
            self._rules[text] = steps

    def clear(self) -> None:
        """Forget every rule; title and default stay."""
        with self._lock:
            self._rules.clear()
            self.summary = Text(DEFAULT_SUMMARY)

    def step_for(self, conversation: Conversation) -> Step:
        """The step that answers this call."""
        if conversation.is_title_call:
            return Text(self.title)
        if conversation.is_summary_call:
            return self.summary(conversation) if callable(self.summary) else self.summary
        with self._lock:
            fitting = [text for text in self._rules if text in conversation.prompt]
            replies = self._rules[max(fitting, key=len)] if fitting else self.default
        reply = replies[min(conversation.step, len(replies) - 1)]
        return reply(conversation) if callable(reply) else reply


def _check(replies: Sequence[Reply]) -> None:
    """Refuse what is no step where it is written, not in the middle of a turn."""
    for reply in replies:
        if not callable(reply):
            parts_of(reply, attempt=0)
