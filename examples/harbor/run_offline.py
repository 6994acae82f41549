"""Run the tasks of this folder through Harbor, offline, and check what it reports: `make harbor`.

Owns the environment of Harbor (its own Python and its own folder), the jobs and the comparison. Exit code 1 if anything is not as
`offline_model.py` expects it, 2 if Harbor cannot be had here.

    run_offline.py              the agent that is in the environment already: this checkout and its OpenCode
    run_offline.py --install    one more trial, in which the agent installs itself: a wheel with uv, OpenCode with npm; needs a network
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from offline_model import EXPECTED, HANG, INSTALLED, PRICE, REFUSE, SLOW, Expected, make_script

from netclaw_opencode.offline import OfflineModel, offline_environment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENV = ROOT / ".tools" / "harbor"
REQUIREMENTS = ROOT / ".ci" / "requirements-harbor.txt"
PYTHON_RANGE = ">=3.12,<3.15"
MARK = "HARBOR_LOCAL_TRIAL"
JOB_SECONDS = 900
INDEXES = re.compile(r"LANG|LC_ALL|TZ|SSL_CERT_\w+|NODE_EXTRA_CA_CERTS|(?i:(uv|pip|npm_config)_\w+|(https?|no|all)_proxy)")
"""What an agent that installs itself needs of the caller's environment."""
KEY_NAME, KEY_HEADER, KEY = "OFFLINE_API_KEY", "x-offline-key", secrets.token_hex(16)
QUIET = {"HARBOR_TELEMETRY": "0", "LITELLM_LOCAL_MODEL_COST_MAP": "true"}
"""Without them Harbor reports that it was run, and one of its libraries looks for a list of prices; both need a network."""
CHECK = "python3 -B -m unittest -q"


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--install"]):
        print(__doc__, file=sys.stderr)
        return 2
    began = time.monotonic()
    expected = EXPECTED | (INSTALLED if arguments else {})
    python = prepare_harbor()
    if python is None:
        return 2
    with tempfile.TemporaryDirectory(prefix="netclaw-harbor-") as folder, OfflineModel(make_script()) as model:
        home = Path(folder).resolve()
        (home / "tmp").mkdir()
        trials: list[dict[str, object]] = []
        try:
            for name, job in make_jobs(home, model, install=bool(arguments)).items():
                trials += run_job(python, home, name, job)
        finally:
            left = end_left_over(home)
        problems = [problem for trial in trials for problem in compare(trial, expected)]
        missing = expected.keys() - {(str(trial["task"]), str(trial["agent"])) for trial in trials}
        problems += [f"{task}, {agent}: Harbor has no such trial" for task, agent in sorted(missing)]
        problems += [f"process {process} of a trial was still there" for process in left]
        problems += [f"{path.relative_to(home)} holds the model's key" for path in find_text(home / "jobs", KEY)]
        if not any(call.headers.get(KEY_HEADER) == KEY for call in model.calls):
            problems.append("the model's key has not come to the model")
        show(trials)
        if os.environ.get("KEEP_JOBS"):
            shutil.copytree(home / "jobs", ROOT / "build" / "harbor-jobs", dirs_exist_ok=True)
    for problem in problems:
        print(f"harbor: {problem}", file=sys.stderr)
    print(f"harbor: {len(trials)} trials, {len(problems)} deviations, {time.monotonic() - began:.0f} s")
    return 1 if problems else 0


def prepare_harbor() -> Path | None:
    """Return the Python of Harbor's environment; make it if it is not there or its list of packages has changed."""
    python, key_file = VENV / "bin" / "python", VENV / "made-for"
    key = f"{ROOT} {hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()}"
    if key_file.is_file() and key_file.read_text(encoding="utf-8") == key and python.exists():
        return python
    named = os.environ.get("HARBOR_PYTHON") or find_python()
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet", "--no-config"]
    print("harbor: its environment in .tools/harbor ... ", end="", flush=True)
    began = time.monotonic()
    made = subprocess.run([*uv, "venv", "--clear", "--python", named, str(VENV)], capture_output=True, text=True, check=False)
    if made.returncode:
        print("failed")
        print(
            f"harbor: no Python {PYTHON_RANGE} for Harbor, which the driver itself does not need: {made.stderr.strip()}\n"
            "harbor: install one, or name it: make harbor HARBOR_PYTHON=/path/to/python3.12",
            file=sys.stderr,
        )
        return None
    install = [*uv, "pip", "install", "--python", str(python), "--require-hashes", "--requirement", str(REQUIREMENTS)]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if installed.returncode:
        print(f"failed\nharbor: {installed.stderr.strip()}", file=sys.stderr)
        return None
    key_file.write_text(key, encoding="utf-8")
    print(f"{time.monotonic() - began:.0f} s")
    return python


def find_python() -> str:
    """Return what uv is asked for: the range, or a fitting Python of pyenv, whose shims on PATH uv takes for broken ones."""
    shims = [Path(folder).parent for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder).name == "shims"]
    for root in [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")), *shims]:
        for minor in (13, 12, 14):
            for python in sorted(root.glob(f"versions/3.{minor}.*/bin/python3"), reverse=True):
                return str(python)
    return PYTHON_RANGE


def make_jobs(home: Path, model: OfflineModel, *, install: bool) -> dict[str, dict[str, object]]:
    """Return the jobs: what the tasks are worth without us, the tasks, and one task with five other endings."""
    config = model.provider_config()
    provider = config["provider"]["offline"]  # type: ignore[index]
    for each in provider["models"].values():
        each["cost"] = PRICE
    # The key comes as a user's would: a variable, named in OpenCode's configuration. The header shows that it arrives.
    provider["options"].update({"apiKey": f"{{env:{KEY_NAME}}}", "headers": {KEY_HEADER: f"{{env:{KEY_NAME}}}"}})
    # Not opencode.json: OpenCode would find it above each trial's folder, and the driver would refuse what nobody has trusted.
    (home / "model.json").write_text(json.dumps(config), encoding="utf-8")
    quiet = offline_environment(home / "config")
    templates = {}
    for name, sentence in (("hang", HANG), ("refuse", REFUSE), ("slow", SLOW)):
        templates[name] = home / f"{name}.j2"
        templates[name].write_text("{{ instruction }}\n" + sentence + "\n", encoding="utf-8")

    def agent(label: str, *, model_name: str = "offline/scripted", seconds: float | None = None, **options: object) -> dict[str, object]:
        kwargs = {"skip_install": True, "config": str(home / "model.json"), "check": CHECK, **options}
        env = {"LABEL": label, KEY_NAME: f"${{{KEY_NAME}}}", **quiet}
        if kwargs["skip_install"]:
            env["OPENCODE_DRIVER_BINARY"] = os.environ["OPENCODE_DRIVER_BINARY"]
        limit = {} if seconds is None else {"override_timeout_sec": seconds}
        return {"import_path": "netclaw_agent:NetclawOpenCode", "model_name": model_name, "kwargs": kwargs, "env": env, **limit}

    common = {
        "jobs_dir": str(home / "jobs"),
        "environment": {"import_path": "local_environment:LocalEnvironment", "env": {"XDG_CONFIG_HOME": str(home / "config")}},
        "n_concurrent_trials": 2,
        "quiet": True,
    }
    every = {"datasets": [{"path": str(HERE / "tasks")}]}
    one = {"tasks": [{"path": str(HERE / "tasks" / "slugify")}]}
    endings = [
        # Long enough for a slow machine to come to the point where the model is silent.
        agent("out of time", seconds=60, prompt_template_path=str(templates["hang"])),
        agent("cancelled by Harbor", seconds=55, deadline_seconds=600, prompt_template_path=str(templates["hang"])),
        agent("key refused", prompt_template_path=str(templates["refuse"])),
        agent("unknown model", model_name="offline/nowhere"),
        agent("over the cap", max_model_calls=1, prompt_template_path=str(templates["slow"])),
    ]
    jobs: dict[str, dict[str, object]] = {
        "baselines": {**common, **every, "agents": [{"name": "oracle"}, {"name": "nop"}]},
        "tasks": {**common, **every, "agents": [agent("driver")]},
        "endings": {**common, **one, "agents": endings},
    }
    if install:
        build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(home / "dist"), str(ROOT)]
        subprocess.run(build, check=True, capture_output=True)
        # It finds uv, and not the package that this Python has.
        (home / "bin").mkdir()
        (home / "bin" / "uv").symlink_to(Path(sys.executable).with_name("uv"))
        (wheel,) = (home / "dist").glob("*.whl")
        jobs["installed"] = {**common, **one, "agents": [agent("installed", skip_install=False, package=str(wheel))]}
    return jobs


def run_job(python: Path, home: Path, name: str, job: dict[str, object]) -> list[dict[str, object]]:
    """Run one job with Harbor's own command, and return its trials as Harbor's own models read them."""
    (home / f"{name}.json").write_text(json.dumps({**job, "job_name": name}), encoding="utf-8")
    bins = [str(home / "bin" if name == "installed" else Path(sys.executable).parent), os.environ.get("PATH", "")]
    wanted = INDEXES if name == "installed" else re.compile("LANG|LC_ALL|TZ")
    kept = {variable: value for variable, value in os.environ.items() if wanted.fullmatch(variable)}
    env = {
        **kept,
        "PATH": os.pathsep.join(bins),
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "PYTHONPATH": str(HERE),
        KEY_NAME: KEY,
        **QUIET,
    }
    command = [str(python.with_name("harbor")), "run", "--config", str(home / f"{name}.json"), "--yes"]
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, timeout=JOB_SECONDS, check=False)
    if done.returncode:
        print(f"harbor: the job {name} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}", file=sys.stderr)
    read = [str(python), str(HERE / "read_job.py"), str(home / "jobs" / name)]
    shown = subprocess.run(read, env=env, capture_output=True, text=True, check=True).stdout
    trials: list[dict[str, object]] = json.loads(shown)
    return trials


def compare(trial: dict[str, object], table: Mapping[tuple[str, str], Expected]) -> list[str]:
    """Return where a trial is not as it must be."""
    where = f"{trial['task']}, {trial['agent']}"
    expected = table.get((str(trial["task"]), str(trial["agent"])))
    if expected is None:
        return [f"{where}: an unexpected trial"]
    found: list[tuple[str, object, object]] = [
        ("reward", trial["reward"], expected.reward),
        ("exception", trial["exception"], expected.exception),
    ]
    if expected.ending:
        found += compare_driver(trial, expected)
    return [f"{where}: {name} is {str(seen)[:300]!r}, not {wanted!r}" for name, seen, wanted in found if not is_same(seen, wanted)]


def compare_driver(trial: dict[str, object], expected: Expected) -> list[tuple[str, object, object]]:
    """Return what is compared besides reward and exception where this driver was the agent."""
    context = dict(trial["context"] or {})  # type: ignore[call-overload]
    metadata = context.get("metadata") or {}
    atif = dict(trial["atif"] or {})  # type: ignore[call-overload]
    totals = atif.get("final_metrics") or {}
    figures = ("n_input_tokens", "n_cache_tokens", "n_output_tokens", "cost_usd")
    sums = ("total_prompt_tokens", "total_cached_tokens", "total_completion_tokens", "total_cost_usd")
    text = json.dumps(atif)
    wanted = expected.figures or (None,) * 4
    return [
        ("problem of the trajectory", trial["atif_problem"], None if expected.figures else "there is none"),
        *((name, context.get(name), figure) for name, figure in zip(figures, wanted, strict=True)),
        *((name, totals.get(name), figure) for name, figure in zip(sums, wanted, strict=True)),
        ("ending", metadata.get("outcome"), expected.ending),
        ("verified", metadata.get("verified"), expected.verified),
        ("exit codes of the check", metadata.get("check_runs"), list(expected.check_runs)),
        *((f"{said!r} in the trajectory", said in text, True) for said in expected.said),
    ]


def is_same(seen: object, wanted: object) -> bool:
    if isinstance(seen, int | float) and isinstance(wanted, int | float) and not isinstance(wanted, bool):
        return math.isclose(seen, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return seen == wanted


def end_left_over(home: Path) -> list[str]:
    """End what trials of this run have left, also of one that was interrupted; return what it was."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environ = process.environ()
            # A server that the driver starts sees few variables, its home among them.
            if any(environ.get(name, "").startswith(str(home)) for name in (MARK, "HOME")):
                found.append(f"{process.pid} ({process.name()})")
                process.kill()
    return found


def find_text(folder: Path, text: str) -> list[Path]:
    """Return the files below a folder that hold a text."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and text.encode() in path.read_bytes()]


def show(trials: list[dict[str, object]]) -> None:
    """Print one line for each trial."""
    row = "{:<9} {:<20} {:>6}  {:<25} {:>6} {:>6} {:>9} {:>6} {:>7}".format
    print(row("task", "agent", "reward", "exception", "input", "output", "cost", "steps", "seconds"))
    for trial in trials:
        context = dict(trial["context"] or {})  # type: ignore[call-overload]
        cost, seconds, atif = context.get("cost_usd"), trial["seconds"], trial["atif"]
        print(
            row(
                *(str(trial[name] if trial[name] is not None else "-") for name in ("task", "agent", "reward", "exception")),
                *(str(context.get(name) if context.get(name) is not None else "-") for name in ("n_input_tokens", "n_output_tokens")),
                f"{cost:.6f}" if cost is not None else "-",
                str(len(atif["steps"])) if isinstance(atif, dict) else "-",
                f"{seconds:.1f}" if isinstance(seconds, float) else "-",
            )
        )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("harbor: interrupted; what ran was ended", file=sys.stderr)
        sys.exit(130)
