"""What was seen, judged: one row for each question, each with a status, a sentence and the command that helps.

Owns the judgements, all of them pure. ``fail``: a run cannot succeed here. ``warn``: it can, and this may spoil it or should
not stay so. ``unknown``: it could not be seen. Nothing here says a secret.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netclaw_opencode._core.policy import Policy
from netclaw_opencode.doctor import conditions
from netclaw_opencode.doctor.conditions import Condition
from netclaw_opencode.doctor.facts import Facts
from netclaw_opencode.errors import CODES, DriverError
from netclaw_opencode.opencode.models import Catalogue, parse_model
from netclaw_opencode.opencode.process import binary
from netclaw_opencode.opencode.wire.types import PermissionRule

Status = Literal["ok", "warn", "fail", "unknown"]

_LEAST_BYTES = 100 * 1024 * 1024
_FEW_BYTES = 1024 * 1024 * 1024
_DEFAULT_ASKS = {("doom_loop", "*"), ("external_directory", "*"), ("read", "*.env"), ("read", "*.env.*")}
"""What OpenCode asks by itself (F29)."""
_WORKING_AGENT = "build"
_SHOWN = 4
_CHECK = "netclaw-opencode server check-availability"
_STOP = "netclaw-opencode server stop-server"


@dataclass(frozen=True, slots=True)
class Check:
    """The answer to one question; ``remedy`` is a command, or what a person has to do."""

    id: str
    title: str
    status: Status
    seen: str
    remedy: str | None = None

    def to_wire(self) -> dict[str, object]:
        """Return the form in results."""
        wire: dict[str, object] = {"id": self.id, "title": self.title, "status": self.status, "seen": self.seen}
        if self.remedy is not None:
            wire["remedy"] = self.remedy
        return wire


Judgement = tuple[Status, str] | tuple[Status, str, str]
_UNSEEN: Judgement = ("unknown", "not seen in time")
_NO_SERVER: Judgement = ("unknown", "no server answers")


@dataclass(frozen=True, slots=True)
class Row:
    """One question, and who answers it."""

    id: str
    title: str
    judge: Callable[[Facts], Judgement]


def run_checks(facts: Facts) -> tuple[Check, ...]:
    """Every row's answer, and one more for each host that was found."""
    checks = [Check(row.id, row.title, *row.judge(facts)) for row in ROWS]
    return (*checks, *_check_hosts(facts))


def _error(error: DriverError, status: Status = "fail") -> Judgement:
    return status, error.message, error.next or CODES[error.code].remedy


def _condition(met: Condition) -> Judgement:
    return "fail" if met.severity == "error" else "warn", met.message, met.remedy


def _check_program(facts: Facts) -> Judgement:
    found = facts.program
    if found is None:
        return _UNSEEN
    if isinstance(found, DriverError):
        # A server that runs can be used without it.
        return _error(found, "warn" if facts.reachable else "fail")
    return "ok", f"OpenCode {found.version}, {found.path}"


def _check_advisories(facts: Facts) -> Judgement:
    versions = {}
    if isinstance(facts.program, binary.Binary):
        versions["the program"] = facts.program.version
    if facts.health is not None and not isinstance(facts.health, DriverError):
        versions["the server"] = facts.health.version
    if not versions:
        return "unknown", "neither program nor server was seen"
    for what, version in versions.items():
        hole = conditions.known_hole(what, version)
        if hole is not None:
            return _condition(hole)
    return "ok", "none for " + ", ".join(dict.fromkeys(versions.values()))


def _check_server(facts: Facts) -> Judgement:
    if facts.health is None:
        return "fail", f"{facts.url or 'the server'} did not answer in time", "netclaw-opencode server recover" if facts.ours else _CHECK
    if isinstance(facts.health, DriverError):
        return _error(facts.health)
    return "ok", f"OpenCode {facts.health.version} at {facts.url}, {'started by this skill' if facts.ours else 'not started by this skill'}"


def _check_sessions(facts: Facts) -> Judgement:
    if not facts.reachable:
        return _NO_SERVER
    if facts.serves_sessions is None:
        return _UNSEEN if isinstance(facts.directory, str) else ("unknown", "there is no directory to ask for")
    return _error(facts.serves_sessions) if isinstance(facts.serves_sessions, DriverError) else ("ok", "the server can serve sessions here")


def _check_password(facts: Facts) -> Judgement:
    if isinstance(facts.health, DriverError) and facts.health.code == "auth_failed":
        known = "the one that is set is wrong" if facts.settings.password is not None else "none is set here"
        return (
            "fail",
            f"the server asks for a password, and {known}",
            "set OPENCODE_SERVER_PASSWORD (and OPENCODE_SERVER_USERNAME) to the server's",
        )
    if not facts.reachable:
        return _NO_SERVER
    if facts.asks_password is None:
        return _UNSEEN
    everybody = conditions.open_server(facts.url, asks_password=facts.asks_password)
    return _condition(everybody) if everybody is not None else ("ok", "set, and accepted")


def _check_providers(facts: Facts) -> Judgement:
    found = facts.catalogue
    if found is None:
        return _UNSEEN if facts.reachable else _NO_SERVER
    if isinstance(found, DriverError):
        return _error(found, "unknown")
    unconnected = conditions.no_provider(found)
    if unconnected is not None:
        return _condition(unconnected)
    return "ok", "connected: " + _list_some([item.id for item in found.providers])


def _check_sharing(facts: Facts) -> Judgement:
    if not isinstance(facts.catalogue, Catalogue):
        return _UNSEEN if facts.reachable else _NO_SERVER
    published = conditions.published_sessions(facts.catalogue)
    return _condition(published) if published is not None else ("ok", "no session is published by itself")


def _check_model(facts: Facts) -> Judgement:
    found, wanted = facts.catalogue, facts.settings.model
    try:
        named = parse_model(wanted)
        if not isinstance(found, Catalogue):
            return _UNSEEN if facts.reachable else _NO_SERVER
        if named is not None:
            found.find(named)
            return "ok", f"{wanted}, by OPENCODE_DRIVER_MODEL"
    except DriverError as error:
        return _error(error)
    if found.default is None:
        return "warn", "there is no default: each call has to name its model", "netclaw-opencode inspect list-providers"
    return "ok", str(found.default)


def _check_permissions(facts: Facts) -> Judgement:
    if not facts.rules or _WORKING_AGENT not in facts.rules:
        return ("unknown", "the server does not list the rules of its agents") if facts.reachable else _NO_SERVER
    asks = [(rule.permission, rule.pattern) for rule in asking_rules(facts.rules[_WORKING_AGENT])]
    more = [ask for ask in asks if ask not in _DEFAULT_ASKS]
    usual = _list_some(list(dict.fromkeys(permission for permission, pattern in asks if (permission, pattern) in _DEFAULT_ASKS)))
    if not more:
        return "ok", f"asked for: {usual} (OpenCode's own defaults); everything else runs unasked" if asks else "nothing is asked for"
    shown = _list_some([permission if pattern == "*" else f"{permission} {pattern}" for permission, pattern in more])
    rules = facts.policy.permissions if isinstance(facts.policy, Policy) else ()
    if rules:
        return "ok", f"asked for: {shown}; a policy file with {len(rules)} rules answers"
    permission, pattern = more[0]
    return (
        "warn",
        f"asked for: {shown}; nobody answers, so a blocking call ends with permission_required",
        # The words come from the project's configuration, and a reader of this may run it.
        f"netclaw-opencode inspect check-policy --permission {shlex.quote(permission)} --pattern {shlex.quote(pattern)}",
    )


def asking_rules(rules: tuple[PermissionRule, ...]) -> Iterator[PermissionRule]:
    """Return the rules that lead to a question: no later one takes their whole place."""
    for place, rule in enumerate(rules):
        later = rules[place + 1 :]
        if rule.action == "ask" and not any(
            item.permission in (rule.permission, "*") and item.pattern in (rule.pattern, "*") for item in later
        ):
            yield rule


def _check_questions(facts: Facts) -> Judgement:
    if not facts.rules or _WORKING_AGENT not in facts.rules:
        return ("unknown", "the server does not list the rules of its agents") if facts.reachable else _NO_SERVER
    last = [rule.action for rule in facts.rules[_WORKING_AGENT] if rule.permission in ("question", "*") and rule.pattern == "*"]
    if last and last[-1] == "deny":
        return "ok", "the agent cannot ask"
    answers = facts.policy.questions if isinstance(facts.policy, Policy) else ()
    known = f"a policy file with {len(answers)} rules answers" if answers else "unanswered, a blocking call ends with question_pending"
    return "ok", f"the agent may ask; {known}"


def _check_data_directory(facts: Facts) -> Judgement:
    if facts.neighbours is None:
        return _UNSEEN
    sharing: dict[Path, list[int]] = defaultdict(list)
    for item in facts.neighbours:
        if item.data_dir is not None:
            sharing[item.data_dir].append(item.pid)
    for folder, pids in sharing.items():
        if len(pids) > 1:
            shown = ", ".join(str(pid) for pid in pids)
            return (
                "warn",
                f"{len(pids)} servers (pid {shown}) share the database in {folder}: they lock each other out",
                "use one server, or give each an XDG_DATA_HOME of its own",
            )
    return "ok", f"{len(facts.neighbours)} server(s) of this user run, none shares a data directory"


def _check_strays(facts: Facts) -> Judgement:
    if facts.neighbours is None or not facts.state_seen:
        return _UNSEEN
    known = facts.record.pid if facts.record is not None and facts.record_alive else None
    strays = [item.pid for item in facts.neighbours if item.mark is not None and item.pid != known and item.mark != facts.server_mark]
    if strays:
        shown = ", ".join(str(pid) for pid in strays)
        return (
            "warn",
            f"pid {shown}: started by this skill, but unknown to {facts.settings.state_dir}; another state folder may know it",
            f"ps -o pid,lstart,args -p {','.join(str(pid) for pid in strays)}",
        )
    return "ok", "none"


def _check_leftovers(facts: Facts) -> Judgement:
    if facts.leftovers is None:
        return _UNSEEN if facts.reachable else _NO_SERVER
    if facts.leftovers:
        return "warn", f"{len(facts.leftovers)} session(s) of ours that no caller waits for any more", "netclaw-opencode server cleanup"
    return "ok", "none"


def _check_stuck(facts: Facts) -> Judgement:
    if facts.statuses is None:
        return _UNSEEN if facts.reachable else _NO_SERVER
    retrying = [key for key, status in facts.statuses.items() if status.kind == "retry"]
    if len(retrying) > 1:
        return (
            "fail",
            f"{len(retrying)} sessions hang in retry: the provider refuses, or the server is stuck",
            "netclaw-opencode server recover",
        )
    if retrying:
        return "warn", f"session {retrying[0]} hangs in retry", f"netclaw-opencode run abort-session --session-id {retrying[0]}"
    return "ok", f"{len(facts.statuses)} running in this directory, none hangs in retry"


def _check_disk(facts: Facts) -> Judgement:
    if facts.disk_spaces is None:
        return _UNSEEN
    if not facts.disk_spaces:
        return "unknown", "the file system does not say"
    least = min(facts.disk_spaces, key=lambda room: room.free_bytes)
    seen = f"{least.free_bytes / 1e9:.1f} GB free for {least.what}, {least.path}"
    if least.free_bytes < _FEW_BYTES:
        return "fail" if least.free_bytes < _LEAST_BYTES else "warn", seen, "make room there"
    return "ok", seen


def _check_state_file(facts: Facts) -> Judgement:
    if not facts.state_seen:
        return _UNSEEN
    if facts.state_problem is not None:
        return "unknown", "the state folder cannot be read"
    if facts.record is None:
        return "ok", "none: no server of ours is remembered"
    if not facts.record_alive:
        return "warn", f"stale: it names a server (pid {facts.record.pid}, {facts.record.url}) that is gone", _STOP
    return "ok", f"names pid {facts.record.pid}, which runs"


def _check_state_folder(facts: Facts) -> Judgement:
    if not facts.state_seen:
        return _UNSEEN
    if facts.state_problem is not None:
        return _error(facts.state_problem)
    return "ok", f"{facts.settings.state_dir}" + (", this user's alone" if facts.state_there else ", made when it is needed")


def _check_settings(facts: Facts) -> Judgement:
    if isinstance(facts.policy, DriverError):
        return _error(facts.policy)
    if facts.unusable is None:
        return _UNSEEN
    unusable = [*facts.unusable, *(item.message for item in conditions.judge_settings(facts.settings))]
    if unusable:
        return "warn", "; ".join(unusable), "correct the variable, or unset it"
    return "ok", "every variable that is set can be used"


def _check_directory(facts: Facts) -> Judgement:
    if isinstance(facts.directory, DriverError):
        return _error(facts.directory)
    if facts.refused is not None:
        return _error(facts.refused)
    return ("ok", facts.directory) if facts.directory is not None else _UNSEEN


def _check_command(facts: Facts) -> Judgement:
    if facts.integrations is None:
        return _UNSEEN
    if facts.command is None:
        return "warn", "netclaw-opencode is not on PATH: hosts that run commands will not find it", "put the folder of the command on PATH"
    return "ok", facts.command


def _check_mcp(facts: Facts) -> Judgement:
    if facts.integrations is None:
        return _UNSEEN
    if facts.mcp_version is not None:
        return "ok", f"the MCP SDK {facts.mcp_version} is installed"
    users = [item.name for item in facts.integrations if item.uses_mcp]
    install = "pip install 'netclaw-opencode[mcp]'"
    if users:
        return "fail", f"{', '.join(users)} would start netclaw-opencode mcp, and its SDK is not installed", install
    return "ok", f"not installed, and no host here asks for it ({install})"


def _check_hosts(facts: Facts) -> Iterator[Check]:
    if not facts.integrations:
        seen = "not seen in time" if facts.integrations is None else "none found in this user's home"
        yield Check("hosts", "agent hosts", "unknown" if facts.integrations is None else "ok", seen)
    for item in facts.integrations or ():
        name = f"host_{item.name.lower().replace(' ', '_').replace('-', '_')}"
        if item.routes:
            yield Check(name, item.name, "ok", f"{item.folder}: has this skill by {', '.join(item.routes)}")
        else:
            yield Check(name, item.name, "warn", f"{item.folder}: this skill is not set up there", item.finish)


def _list_some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


ROWS = (
    Row("program", "OpenCode", _check_program),
    Row("advisories", "advisories", _check_advisories),
    Row("server", "server", _check_server),
    Row("password", "password", _check_password),
    Row("sessions", "sessions", _check_sessions),
    Row("providers", "providers", _check_providers),
    Row("model", "model", _check_model),
    Row("sharing", "sharing", _check_sharing),
    Row("permissions", "permissions", _check_permissions),
    Row("questions", "question tool", _check_questions),
    Row("directory", "directory", _check_directory),
    Row("stuck_sessions", "stuck sessions", _check_stuck),
    Row("left_sessions", "left sessions", _check_leftovers),
    Row("data_directory", "data directory", _check_data_directory),
    Row("stray_servers", "stray servers", _check_strays),
    Row("disk", "disk", _check_disk),
    Row("state_file", "state file", _check_state_file),
    Row("state_folder", "state folder", _check_state_folder),
    Row("settings", "settings", _check_settings),
    Row("command", "command", _check_command),
    Row("mcp", "MCP", _check_mcp),
)

__all__ = ["ROWS", "Check", "Row", "asking_rules", "run_checks"]
