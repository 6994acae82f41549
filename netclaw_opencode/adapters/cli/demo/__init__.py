"""``netclaw-opencode demo``: one coding task from start to clean-up, shown live, with every claim at the end checked.

Owns the order of the show. The work is done by the skill's own actions alone: start_server, run_task, list_sessions,
stop_server. What is private about it stands in ``private``, what is printed in ``stage``, what is proved in ``proof``.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode.adapters.cli import output
from netclaw_opencode.errors import EXIT_FAILED, DriverError, InvalidInput

if TYPE_CHECKING:
    from netclaw_opencode.adapters.cli.demo.performance import Performance
    from netclaw_opencode.adapters.cli.demo.proof import Claim

ACTION = "demo"


def demo(*, model: str | None, directory: str | None, keep: bool, deadline_seconds: float) -> int:
    """Run the demo and return the exit code; ``model`` None means the scripted stand-in."""
    try:
        return _demo(model, _given_folder(directory), keep=keep, deadline_seconds=deadline_seconds)
    except DriverError as error:
        return output.show_error(ACTION, error, "text")


def _demo(model: str | None, given: Path | None, *, keep: bool, deadline_seconds: float) -> int:
    from netclaw_opencode.adapters.cli import running
    from netclaw_opencode.adapters.cli.demo.performance import Performance
    from netclaw_opencode.adapters.cli.demo.private import private_settings
    from netclaw_opencode.adapters.cli.demo.stage import Stage
    from netclaw_opencode.offline import DEMO_PROMPT

    stage = Stage.for_this_process(deadline_seconds)
    with ExitStack() as stack:
        folder = given or _temporary_folder(stack, keep=keep)
        settings = running.read_settings() if model is not None else stack.enter_context(private_settings())
        stage.open(DEMO_PROMPT, model=model, folder=str(folder))
        temporary = [] if model is not None else [Path(settings.environ["HOME"])]
        temporary += [] if given is not None or keep else [folder]
        show = Performance(stage, directory=str(folder), model=model, deadline_seconds=deadline_seconds)

        def leave(envelope: dict[str, object]) -> None:
            try:
                stage.show_result(envelope)
            finally:
                show.leave(temporary)

        call = running.Call(ACTION, [stage, show], settings)
        envelope = running.run(call, lambda host: show.play(host, DEMO_PROMPT), leave=leave)
    code = stage.show_result(envelope)
    output.notice(call.notices)
    proved = stage.show_proof(_claims(show, private=model is None, temporary=temporary))
    if code == 0:
        stage.show_way_on(model=model, kept=str(folder) if given is not None or keep else None)
    return code or (0 if proved else EXIT_FAILED)


def _claims(show: Performance, *, private: bool, temporary: list[Path]) -> list[Claim]:
    from netclaw_opencode.adapters.cli.demo import proof

    claims = []
    if show.server_is_up:
        claims.append(proof.check_session_deleted(show.sessions_listed, show.session_id, private=private))
    if show.server_is_ours:
        claims.append(proof.check_server_stopped(show.family))
    if temporary:
        claims.append(proof.check_nothing_left(temporary))
    return claims


def _given_folder(directory: str | None) -> Path | None:
    if directory is None:
        return None
    folder = Path(directory).absolute()
    if not folder.is_dir():
        raise InvalidInput("invalid_input", f"--directory: {str(folder)!r} is not an existing folder")
    return folder


def _temporary_folder(stack: ExitStack, *, keep: bool) -> Path:
    if keep:
        return Path(tempfile.mkdtemp(prefix="netclaw-demo-")).resolve()
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="netclaw-demo-"))).resolve()


__all__ = ["ACTION", "demo"]
