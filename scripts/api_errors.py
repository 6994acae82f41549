"""The exceptions by cause, as source text: a class for each error code.

Owns their names, and the classes between those of the exit codes and those of the codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from netclaw_opencode.errors import CODES, ErrorCode
from scripts.api_classes import MADE, camel, quoted

# Error classes between those of the exit codes and those of the codes.
BASES: Mapping[int, tuple[str, str, str]] = {
    1: ("ActionError", "ActionFailed", "The action ran and failed, and says how."),
    3: ("InvalidInputError", "InvalidInput", "The caller's input or a manifest is wrong; nothing was sent."),
    4: ("RefusedError", "Refused", "A safety rule forbids the call; nothing was sent."),
    5: ("ServerError", "ServerProblem", "There is no OpenCode server that can be used."),
    6: ("DeadlineError", "OutOfTime", "A deadline passed; what ran was stopped."),
    7: ("WaitingError", "Waiting", "The agent asks for a permission or an answer, and nobody gives it."),
}
PROVIDER = ("ProviderError", "ActionError", "The model provider does not do its part.")
TURN = ("TurnError", "ActionError", "The turn ended without a result that can be used.")
OF_A_TURN = {"empty_output", "runaway_turn", "interrupted", "structured_output_failed", "context_overflow"}
RENAMED = {
    "invalid_input": "InvalidArgumentError",
    "provider_error": "ProviderResponseError",
    "not_opencode": "NotOpenCodeError",
    "interrupted": "TurnInterruptedError",
    "cancelled": "CallCancelledError",
}


def error_name(code: str) -> str:
    """The class of an error code."""
    return RENAMED.get(code) or camel(code.removesuffix("_error")) + "Error"


def error_base(row: ErrorCode) -> str:
    """The class above that of an error code."""
    if row.exit_code == 1:
        if row.code.startswith("provider_"):
            return PROVIDER[0]
        return TURN[0] if row.code.startswith("turn_") or row.code in OF_A_TURN else BASES[1][0]
    return BASES[row.exit_code][0] if row.exit_code in BASES else "Interrupted"


def exceptions() -> tuple[str, list[str]]:
    """The module of exceptions, and its names."""
    bases = [*BASES.values(), PROVIDER, TURN]
    names = ["OpenCodeError", *(base[0] for base in bases), *(error_name(code) for code in CODES)]
    if len(set(names)) < len(names):
        raise SystemExit(f"two error classes have one name: {sorted(name for name in names if names.count(name) > 1)}")
    kinds = ", ".join(sorted({"DriverError", "Interrupted", *(base[1] for base in BASES.values())}))
    lines = [
        f'{MADE}"""The exceptions by cause: one class for each error code.\n\n'
        "An error that the driver raises is of the class of its code once this module is imported, which ``OpenCode`` does.\n"
        '"""\n\nfrom __future__ import annotations\n\n'
        f"from netclaw_opencode.errors import {kinds}\n\nOpenCodeError = DriverError\n",
        *(f'class {name}({above}):\n    """{text}"""\n' for name, above, text in bases),
    ]
    for row in CODES.values():
        doc = quoted(f"{row.summary}", 4, first=0)
        advice = quoted(f"What helps: {row.remedy}", 4)
        lines.append(f'class {error_name(row.code)}({error_base(row)}, code="{row.code}"):\n    """{doc}\n\n{advice}\n    """\n')
    return "\n\n".join(lines) + f"\n\n__all__ = {sorted(names)!r}\n", names
