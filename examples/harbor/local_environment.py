"""A Harbor environment without Docker: each trial works in a folder of its own on this machine.

For `make harbor` and for trying an agent where no container engine runs. It is **no sandbox**: commands run with your rights, and
only the paths are kept apart. A container's `/app`, `/logs`, `/tests`, `/solution` and `/installed-agent` become folders below one
temporary folder; commands, working directories and values of variables that name them are translated. Files are not, so a
script of a task has to find its neighbours from `$0`. Tasks must name a `docker_image` (which is not used) and no Dockerfile.

    harbor run -p tasks -a AGENT --env local_environment:LocalEnvironment
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities

CONTAINER_FOLDERS = ("app", "logs", "tests", "solution", "installed-agent", "runtime")
CONTAINER_PATH = re.compile(rf"(?<![\w./~$)}}*-])/(?=(?:{'|'.join(CONTAINER_FOLDERS)})(?![\w.-]))")
MARK = "HARBOR_LOCAL_TRIAL"
"""A variable of every process of a trial, by which what a command left behind is found and ended, as the end of a container does."""
KEPT = re.compile(r"PATH|LANG|LC_ALL|TZ|SSL_CERT_\w+|NODE_EXTRA_CA_CERTS|(?i:(uv|pip|npm_config)_\w+|(https?|no|all)_proxy)")
"""What commands see of this machine's environment: the programs, the language, and the way to package indexes. No key."""
TIMED_OUT = 124


class LocalEnvironment(BaseEnvironment):
    """Run a trial's commands in a temporary folder of this machine."""

    _folder: Path | None = None

    @staticmethod
    def type() -> str:
        return "local"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        return EnvironmentCapabilities()

    def _validate_definition(self) -> None:
        for name in ("Dockerfile", "docker-compose.yaml"):
            if (self.environment_dir / name).exists():
                raise ValueError(f"{self.environment_dir / name}: the local environment builds no image; use --env docker for this task")

    @property
    def folder(self) -> Path:
        """Return the folder that stands for the container's root."""
        if self._folder is None:
            raise RuntimeError("the environment has not been started")
        return self._folder

    def translate(self, text: str) -> str:
        """Put the trial's folder before each path of the container in a command or a value."""
        return CONTAINER_PATH.sub(f"{self.folder}/", text)

    async def start(self, force_build: bool) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="harbor-trial-")).resolve()
        for name in ("home", "app", "logs/agent", "logs/verifier", "logs/artifacts"):
            (self._folder / name).mkdir(parents=True)
        await self._upload_environment_dir_after_start()

    async def stop(self, delete: bool) -> None:
        if self._folder is None:
            return
        await self._end_processes()
        if delete:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        target = self._place(target_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source_path, target / Path(source_path).name if target.is_dir() else target)

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        shutil.copytree(source_dir, self._place(target_dir), dirs_exist_ok=True)

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        Path(target_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self._place(source_path), target_path)

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        shutil.copytree(self._place(source_dir), target_dir, dirs_exist_ok=True)

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Run a command with bash; ``user`` is ignored. One that is cancelled goes on, as it would in a container."""
        merged = {name: self.translate(value) for name, value in (self._merge_env(env) or {}).items()}
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", self.translate(command)),
            cwd=self._place(cwd or self.task_env_config.workdir or "/app"),
            env={**self._base_environment(), **merged},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            stdout, stderr = await asyncio.wait_for(process.communicate(), timeout_sec)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return ExecResult(stderr=f"the command was ended after {timeout_sec} seconds", return_code=TIMED_OUT)
        code = process.returncode if process.returncode is not None else -1
        return ExecResult(stdout=stdout.decode(errors="replace"), stderr=stderr.decode(errors="replace"), return_code=code)

    def _place(self, path: str) -> Path:
        """Return where a path of the container is on this machine."""
        return Path(self.translate(str(path)))

    def _base_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
        return {**kept, "HOME": str(self.folder / "home"), MARK: str(self.folder)}

    async def _end_processes(self) -> None:
        """End what the trial's commands have left running (where /proc tells; elsewhere nothing is found)."""
        # A server that the driver starts sees few variables, its home among them.
        marks = (f"{MARK}={self.folder}".encode(), f"HOME={self.folder / 'home'}".encode())
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            for pid in find_processes(*marks):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal_number)
            for _ in range(40):
                if not find_processes(*marks):
                    return
                await asyncio.sleep(0.05)


def find_processes(*marks: bytes) -> list[int]:
    """Return the processes of this user in whose first environment one of ``marks`` stands."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if not set(marks).isdisjoint((entry / "environ").read_bytes().split(b"\0")):
                found.append(int(entry.name))
    return found
