"""Exceptions by cause: the driver's own, with cause and traceback, and without secrets."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Mapping

import pytest

from netclaw_opencode import (
    DeadlineError,
    DriverError,
    InternalError,
    InvalidArgumentError,
    InvalidInputError,
    OpenCode,
    OpenCodeError,
    RefusedError,
    SessionBusyError,
    SessionUsedError,
    Settings,
    TurnTimeoutError,
    UnknownActionError,
)
from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.errors import ActionFailed, OutOfTime, Refused
from tests.adapters.host_plugins import Plugin, action

PASSWORD = "canary-of-the-api"
STOPPED = {"aborted": True, "confirmed": True, "was": "busy", "attempts": 2, "requests_refused": 0, "children": [], "elapsed_seconds": 1.5}


async def act(arguments: Mapping[str, object], context: ActionContext) -> Mapping[str, object]:
    """Fail in the way that is asked for."""
    match arguments.get("how"):
        case "refused":
            raise Refused("session_used", "it has prior activity", rule="fresh-session")
        case "timeout":
            details = {"session_id": "ses_1", "partial_text": "half of", "stopped": STOPPED}
            raise OutOfTime("turn_timeout", "the turn did not finish", details=details)
        case "caused":
            try:
                raise OSError("no route")
            except OSError as error:
                raise ActionFailed("connection_lost", "the connection broke") from error
        case "secret":
            try:
                raise OSError(f"refused {PASSWORD}")
            except OSError as error:
                raise ActionFailed("connection_lost", f"sent {PASSWORD}", next=f"use {PASSWORD}", details={"a": [PASSWORD]}) from error
        case "defect":
            raise ZeroDivisionError("defect")
    return {}


def failed(how: str) -> DriverError:
    """The error of one call of ``act``."""
    settings = Settings.from_environment({"OPENCODE_SERVER_PASSWORD": PASSWORD})
    plugins = {"tested": Plugin("tested", action("act", "tested", handler=act))}
    with OpenCode(settings, plugins=plugins) as oc, pytest.raises(DriverError) as caught:
        oc.call("act", how=how)
    return caught.value


def test_an_error_is_of_the_class_of_its_code() -> None:
    """It can be caught by its cause, by its kind, and by the base; another cause of the kind is another class."""
    error = failed("refused")
    assert type(error) is SessionUsedError
    for kind in (RefusedError, Refused, OpenCodeError, DriverError):
        assert issubclass(SessionUsedError, kind)
    assert not issubclass(SessionUsedError, SessionBusyError)
    assert (error.code, error.rule, error.retryable) == ("session_used", "fresh-session", False)
    assert error.next == "Create a session, or continue with context by parent_id."


def test_what_was_seen_of_a_failed_turn_has_types() -> None:
    """Session, partial text and the stop are attributes; what was not seen is None."""
    error = failed("timeout")
    assert isinstance(error, TurnTimeoutError) and isinstance(error, DeadlineError)
    assert (error.session_id, error.message_id, error.partial_text) == ("ses_1", None, "half of")
    assert error.stop is not None
    assert (error.stop.confirmed, error.stop.attempts, error.stop.was) == (True, 2, "busy")
    assert failed("refused").stop is None


def test_the_error_keeps_its_cause_and_traceback() -> None:
    """It is the object that the handler raised: the cause is there, and the traceback leads into the handler."""
    error = failed("caused")
    assert isinstance(error.__cause__, OSError)
    assert "act" in {frame.name for frame in traceback.extract_tb(error.__traceback__)}


def test_a_defect_shows_where_it_is() -> None:
    """An exception that nobody foresaw is the cause of ``InternalError``."""
    error = failed("defect")
    assert isinstance(error, InternalError)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_no_secret_leaves_with_an_error() -> None:
    """Message, advice and details are clean, and a cause that holds the secret is left out."""
    error = failed("secret")
    shown = "".join(traceback.format_exception(error, chain=True))
    assert PASSWORD not in f"{error} {error!r} {error.message} {error.next} {error.details} {error.args}"
    assert error.__cause__ is None and error.__context__ is None
    assert PASSWORD not in shown


def test_an_error_survives_pickling() -> None:
    """Another process gets the same error."""
    error = failed("timeout")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert copy.to_wire() == error.to_wire()


def test_wrong_arguments_are_refused_by_name() -> None:
    """A value that the schema does not allow is told before anything is sent; an unknown action is too."""
    with OpenCode(Settings()) as oc:
        with pytest.raises(InvalidArgumentError, match="session_id"):
            oc.get_session_result("no id")
        with pytest.raises(UnknownActionError, match="run_task"):
            oc.call("run_tusk")
        with pytest.raises(InvalidInputError, match="list of models"):
            oc.run_task("x", fallback_models="offline/scripted")
