"""The driver as an agent of Harbor: one `run_task` of netclaw-opencode in the trial's environment, with its trajectory as ATIF.

An *installed agent*, as Harbor calls it: the package and OpenCode are installed where the task is, and the command line is called
there, because that is where the files and the tests are, and what a container's network policy holds for. `docs/harbor.md` says how
to run it.

    harbor run -p TASKS -a netclaw_agent:NetclawOpenCode -m anthropic/claude-sonnet-4-5 --ak check='python -m pytest -q'
"""

import asyncio
import json
import shlex
import tempfile
import time
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

from harbor.agents.agent_auth_resolution import ModelConnectionSpec
from harbor.agents.capabilities import AgentCapabilities
from harbor.agents.installed.base import (
    AgentAuthenticationError,
    ApiOverloadedError,
    ApiRateLimitError,
    BaseInstalledAgent,
    ContextWindowExceededError,
    ModelNotFoundError,
    NonZeroAgentExitCodeError,
    UnknownApiError,
    with_prompt_template,
)
from harbor.agents.options import Cli, InstalledAgentOptions
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.models.agent.context import AgentContext
from harbor.models.trial.config import TrialConfig
from pydantic import Field

CHECKOUT = Path(__file__).resolve().parents[2]
PATHS = 'export PATH="$HOME/.local/bin:$PATH"'
INSTALL_UV = "python3 -m venv ~/.uv && ~/.uv/bin/pip install -q uv && mkdir -p ~/.local/bin && ln -sf ~/.uv/bin/uv ~/.local/bin"
NEWEST_TRANSCRIPT = (
    '"$(ls -t "${OPENCODE_DRIVER_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/netclaw-opencode}"/trajectories/*.json | head -n 1)"'
)
STOP_SECONDS = 30
"""How long a task that Harbor has cancelled may take to stop its turn and to leave its trajectory."""

ERRORS: dict[str, type[NonZeroAgentExitCodeError]] = {
    "provider_auth": AgentAuthenticationError,
    "model_not_found": ModelNotFoundError,
    "provider_retrying": ApiRateLimitError,
    "provider_unavailable": ApiOverloadedError,
    "provider_error": UnknownApiError,
    "context_overflow": ContextWindowExceededError,
}
"""What Harbor calls an ending of ours. It decides by the class whether to grade the work, to count the reward and to try again."""
OUT_OF_TIME = ("turn_timeout", "call_timeout", "request_timeout")
ENDED_WITH_WORK = ("check_failed",)
"""The agent has finished, and what it left is the verifier's to judge: no exception."""

# The container is what keeps the agent in; in it nobody is there to be asked.
PERMISSIONS = {"external_directory": "allow", "doom_loop": "allow", "read": "allow"}
WEB_TOOLS = ("webfetch", "websearch")


class NetclawOptions(InstalledAgentOptions):
    """What `--ak NAME=VALUE` can set, besides Harbor's own."""

    package: str | None = Field(None, description="Wheel on this machine, or a requirement; default: the newest wheel in dist/.")
    deadline_seconds: float | None = Field(None, gt=0, description="Deadline in seconds; default: a little before the trial's.")
    check: str | None = Field(None, description="Command for /bin/sh that says whether the work is right; a failure goes to the agent.")
    check_attempts: int = Field(1, ge=0, le=20, description="Number of times that the agent may mend the work.")
    check_protect: str | None = Field(None, description="Pattern of files that the agent may not change, such as tests/.")
    max_cost_usd: Annotated[float | None, Cli("--max-cost-usd")] = Field(None, description="Cap on the cost in US dollars.")
    max_tokens: Annotated[int | None, Cli("--max-tokens")] = Field(None, description="Cap on all tokens.")
    max_model_calls: Annotated[int | None, Cli("--max-model-calls")] = Field(None, description="Cap on the number of model calls.")
    max_idle_seconds: Annotated[float | None, Cli("--max-idle-seconds")] = Field(None, description="Stop after so many silent seconds.")


class NetclawOpenCode(BaseInstalledAgent):
    """OpenCode, driven by netclaw-opencode."""

    capabilities = AgentCapabilities(atif=True, native_config=True, native_web_tools=True)
    options_model: ClassVar[type[InstalledAgentOptions] | None] = NetclawOptions
    options: NetclawOptions
    # The key of the model's provider, from this machine's environment or from --ae, goes into the environment of our commands.
    MODEL_CONNECTION = ModelConnectionSpec()

    @staticmethod
    def name() -> str:
        return "netclaw-opencode"

    def get_version_command(self) -> str | None:
        return f"{PATHS}; netclaw-opencode --version"

    def parse_version(self, stdout: str) -> str:
        return stdout.rsplit(maxsplit=1)[-1]

    async def install(self, environment: BaseEnvironment) -> None:
        """Install the package with uv, and OpenCode with npm."""
        await self.ensure_system_dependencies(environment, ("bash", "git", "nodejs", "npm"))
        if (await environment.exec(f"{PATHS}; command -v uv")).return_code:
            await self.ensure_system_dependencies(environment, ("python3", "python_venv"))
            await self.exec_as_agent(environment, INSTALL_UV)
        requirement = self.options.package or newest_wheel()
        if Path(requirement).is_file():
            target = f"/installed-agent/{Path(requirement).name}"
            await environment.upload_file(requirement, target)
            requirement = target
        await self.exec_as_agent(environment, f"{PATHS}; uv tool install --quiet --force --python '>=3.11' {shlex.quote(requirement)}")
        await self.exec_as_agent(environment, f"{PATHS}; netclaw-opencode server install-opencode")

    @with_prompt_template
    async def run(self, instruction: str, environment: BaseEnvironment, context: AgentContext) -> None:
        """Run the task. Tokens, cost and trajectory are read afterwards by `populate_context_post_run`, however this ends."""
        began = time.monotonic()
        limit = self.options.deadline_seconds or read_trial_limit(self.logs_dir.parent / "config.json", environment)
        await self._upload_text(environment, instruction, self._place("prompt.md"))
        try:
            await self._call(environment, "server start-server", "server.json")
            await self._call(environment, self._task_command(limit and limit - (time.monotonic() - began)), "result.json")
        except asyncio.CancelledError:  # the trial's time is over, or the job was interrupted; in a container the command goes on
            await self._quietly(environment, f"pid=$(cat {self._place('pid')}); kill -INT $pid && while kill -0 $pid; do sleep 0.1; done")
            raise
        finally:
            await self._leave(environment)
        raise_for(self._read("result.json"))

    def populate_context_post_run(self, context: AgentContext) -> None:
        """Take tokens and cost from the trajectory, and how the task ended from the result."""
        trajectory = self._read("trajectory.json")
        if trajectory:
            context.n_input_tokens = add_up(trajectory, "total_prompt_tokens")
            context.n_output_tokens = add_up(trajectory, "total_completion_tokens")
            context.n_cache_tokens = add_up(trajectory, "total_cached_tokens")
            context.cost_usd = trajectory["final_metrics"]["total_cost_usd"]
        context.metadata = summarize(self._read("result.json"))

    def _task_command(self, seconds: float | None) -> str:
        """Build the call of run-task. The model is `provider/model`, which the driver splits into providerID and modelID."""
        options = self.options
        words = ["run run-task --prompt-file", self._place("prompt.md"), '--directory "$PWD"', self.build_cli_flags()]
        if self.model_name:
            words += ["--model", shlex.quote(self.model_name)]
        if seconds:
            words += [f"--deadline-seconds {max(1.0, min(86_400, seconds)):.0f}"]
        if options.check:
            command = shlex.quote(json.dumps([options.check]))
            words += ["--check-shell --check-command", command, f"--check-attempts {options.check_attempts}"]
        if options.check_protect:
            words += ["--check-protect", shlex.quote(options.check_protect)]
        return " ".join(word for word in words if word)

    async def _call(self, environment: BaseEnvironment, command: str, answer: str) -> None:
        """Run a command of the driver; its envelope goes into a file among the trial's logs, its process id into another."""
        call = f"exec netclaw-opencode {command} --format json --max-chars 0 > {self._place(answer)}"
        script = f"{PATHS}; echo $$ > {self._place('pid')}; {call}"
        done: ExecResult = await environment.exec(f"bash -c {shlex.quote(script)}", env=self._environment())
        await self._fetch(environment, answer)
        if answer != "result.json":
            raise_for(self._read(answer))
        elif not self._read(answer):
            said = self._truncate_output(done.stderr)
            raise NonZeroAgentExitCodeError(f"netclaw-opencode ended with {done.return_code} and no result: {said}")

    async def _leave(self, environment: BaseEnvironment) -> None:
        """Write the trajectory and stop the server, also after a failure."""
        report = f"netclaw-opencode inspect report --format atif --output {self._place('trajectory.json')}"
        # The answer to an interrupt does not name the transcript, which is there all the same.
        await self._quietly(environment, f"{report} --file {self._place('result.json')} || {report} --file {NEWEST_TRANSCRIPT}")
        await self._quietly(environment, "netclaw-opencode server stop-server")
        for name in ("result.json", "trajectory.json"):
            await self._fetch(environment, name)

    async def _quietly(self, environment: BaseEnvironment, command: str) -> None:
        """Run a command of the clean-up: bounded, and its failure is a line in the trial's log."""
        try:
            done = await asyncio.wait_for(environment.exec(f"{PATHS}; {command}", env=self._environment()), STOP_SECONDS)
        except (TimeoutError, RuntimeError, OSError) as error:
            self.logger.warning("%s: %s", command, error)
        else:
            if done.return_code:
                self.logger.warning("%s: exit code %s: %s", command, done.return_code, self._truncate_output(done.stderr))

    def _environment(self) -> dict[str, str]:
        """Return the variables of our commands: the model's key, OpenCode's configuration, and where sessions may work."""
        source = self.config_source
        config: dict[str, Any] = json.loads(source.read_text(encoding="utf-8")) if isinstance(source, Path) else source or {}
        own = config.get("permission", {})
        denied = dict.fromkeys(WEB_TOOLS, "deny") if self.options.disable_web_search else {}
        config = {**config, "permission": {**PERMISSIONS, **({"*": own} if isinstance(own, str) else own), **denied}}
        return {
            "OPENCODE_CONFIG_CONTENT": json.dumps(config),
            "OPENCODE_DRIVER_ROOTS": "/",
            **self.model_connection.env,
        }

    def _place(self, name: str) -> str:
        return (PurePosixPath(self.environment_logs_dir) / name).as_posix()

    async def _fetch(self, environment: BaseEnvironment, name: str) -> None:
        if not environment.is_path_mounted(self.environment_logs_dir, self.logs_dir) and await environment.is_file(self._place(name)):
            await environment.download_file(self._place(name), self.logs_dir / name)

    def _read(self, name: str) -> dict[str, Any]:
        """Return a document among the trial's logs; empty if there is none, or half of one."""
        try:
            found = json.loads((self.logs_dir / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    async def _upload_text(self, environment: BaseEnvironment, text: str, target: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "text"
            source.write_text(text, encoding="utf-8")
            await self._upload_agent_owned_file(environment, source, target)


def newest_wheel() -> str:
    """Return the wheel that `make dist` has made."""
    wheels = sorted((CHECKOUT / "dist").glob("netclaw_opencode-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise RuntimeError(f"no wheel in {CHECKOUT / 'dist'}: run `make dist` there, or name one with --ak package=PATH")
    return str(wheels[-1])


def read_trial_limit(config: Path, environment: BaseEnvironment) -> float | None:
    """Return the deadline that ends the task itself before the trial cancels it, in seconds.

    Harbor does not tell an agent its time. It is computed here as the trial does it, less what stopping takes, so that the driver
    stops its turn itself. Not for tasks of several steps, whose times differ: there the trial cancels.
    """
    try:
        trial = TrialConfig.model_validate_json(config.read_text(encoding="utf-8"))
        task = tomllib.loads((environment.environment_dir.parent / "task.toml").read_text(encoding="utf-8"))
    except OSError:  # called by another program than a trial
        return None
    seconds = trial.agent.override_timeout_sec or task.get("agent", {}).get("timeout_sec")
    if seconds is None or task.get("steps"):
        return None
    multiplier = trial.agent_timeout_multiplier if trial.agent_timeout_multiplier is not None else trial.timeout_multiplier
    whole = min(seconds, trial.agent.max_timeout_sec or seconds) * multiplier
    return float(whole - min(60.0, max(5.0, whole / 10)))


def raise_for(envelope: dict[str, Any]) -> None:
    """Raise what Harbor expects for an error of the driver; a success, or work that is to be judged, returns."""
    error = envelope.get("error") or {}
    code = error.get("code")
    if code is None or code in ENDED_WITH_WORK:
        return
    message = f"{code}: {error.get('message')}"
    if code in OUT_OF_TIME:
        raise TimeoutError(message)  # which the trial turns into its AgentTimeoutError
    raise ERRORS.get(code, NonZeroAgentExitCodeError)(message)


def add_up(trajectory: dict[str, Any], name: str) -> int:
    """Return a number of tokens with those of the sub-agents, which ATIF keeps apart (and their cost in the whole)."""
    return trajectory["final_metrics"][name] + sum(add_up(each, name) for each in trajectory.get("subagent_trajectories", []))


def summarize(envelope: dict[str, Any]) -> dict[str, Any] | None:
    """Return how the task ended, for the trial's result."""
    if not envelope:
        return None
    error = envelope.get("error") or {}
    facts = envelope.get("data") or error.get("details") or {}
    check = facts.get("check") or {}
    return {
        "outcome": error.get("code") or "completed",
        "message": error.get("message"),
        "verified": facts.get("verified"),
        "check_runs": [run.get("exit_code") for run in check.get("runs", [])],
        "files_changed": [file.get("path") for file in facts.get("files_changed", [])],
    }
