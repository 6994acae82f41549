"""The recipes of examples/batches: their commands are real ones, and what KEDA asks the database is how many places could be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
import yaml

from netclaw_opencode.adapters.cli import app
from netclaw_opencode.batch import claims, submitting
from netclaw_opencode.batch.database import Database, change, checked_url
from netclaw_opencode.batch.items import Item
from netclaw_opencode.batch.submitting import Options
from netclaw_opencode.settings import Settings
from tests.batch.conftest import ROOT
from tests.batch.test_flow import Flow, failed, item
from tests.support.postgres import Postgres, running_postgres

RECIPES = ROOT / "examples" / "batches"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """One Postgres for this file."""
    with running_postgres() as server:
        yield server


def manifests(name: str) -> list[dict[str, dict[str, object]]]:
    """The documents of a manifest of Kubernetes."""
    return list(yaml.safe_load_all((RECIPES / "kubernetes" / name).read_text("utf-8")))


def pod(manifest: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """The one container of a Deployment or Job."""
    template = cast("Mapping[str, Mapping[str, list[dict[str, object]]]]", manifest["spec"]["template"])
    (container,) = template["spec"]["containers"]
    return container


def test_keda_counts_what_workers_could_do(postgres: Postgres) -> None:
    """As many as a worker with room for all would be given; what runs is counted, so that its worker is not ended."""
    (scaled,) = manifests("scaledobject.yaml")
    (trigger,) = cast("list[dict[str, Mapping[str, str]]]", scaled["spec"]["triggers"])
    database = Database(checked_url(postgres.url))
    database.prepare()

    def count() -> int:
        with database.read() as connection:
            return int(str(connection.exec_driver_sql(trigger["metadata"]["query"]).scalar()))

    assert count() == 0
    flow = Flow(database)
    shared, retried = Options(shared_directories=True), Options(shared_directories=True, retry_codes=("provider_retrying",))

    def submit(name: str, options: Options, *items: Item) -> str:
        return submitting.submit(database, name, items, options, add=False, machine="here").batch

    submit("own machine's", Options(), item("local"))
    submit("four at once", Options(concurrency=2, shared_directories=True), *(item(f"a{number}") for number in range(4)))
    submit("one directory", shared, item("b1", "/same"), item("b2", "/same"), item("b3", "/other"))
    submit("refusing model", retried, item("c", model="p/tired"))
    paused = submit("paused", shared, item("d"))
    claims.pause(database, paused, paused=True)
    assert flow.admit("one", concurrency=1, machine="elsewhere") == ["a0"]
    assert count() == 2 + 2 + 1
    assert set(flow.admit("two", concurrency=100, machine="elsewhere")) == {"a1", "b1", "b3", "c"}
    assert count() == 5
    claim = flow.begin("c", "two")
    assert claim is not None and claims.settle(database, claim, failed("provider_retrying")) == "waiting"
    with database.write() as connection:
        change(connection, "UPDATE netclaw_items SET not_before_ms = 0")
    # The model is left alone by all workers: a further one would find nothing.
    assert count() == 4 and flow.admit("two", concurrency=100, machine="elsewhere") == []
    claims.pause(database, paused, paused=False)
    assert count() == 5 and flow.admit("two", concurrency=100, machine="elsewhere") == ["d"]
    database.close()


def test_the_job_takes_its_file_in_by_the_command_of_the_manifest(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice, as a Job that is tried again: the second time adds nothing. Every machine may have its tasks."""
    work = tmp_path / "work"
    for name in ("de", "fr"):
        (work / name).mkdir(parents=True)
    (work / "tasks.csv").write_text(f"id,directory,language\nde,{work}/de,German\nfr,{work}/fr,French\n", "utf-8")
    for name, value in {"HOME": str(tmp_path), "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENCODE_DRIVER_BATCH_URL", postgres.url)
    (job,) = manifests("submit.yaml")
    arguments = [text.replace("/srv/tasks/", f"{work}/") for text in cast("list[str]", pod(job)["args"])]
    assert app.run(arguments) == 0, capsys.readouterr()
    assert '"added":2' in capsys.readouterr().out.replace(" ", "")
    assert app.run(arguments) == 0
    assert '"known":2' in capsys.readouterr().out.replace(" ", "")
    database = Database.of(Settings.from_environment(dict(os.environ)))
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM netclaw_items WHERE machine IS NULL AND id IN ('de', 'fr')").scalar() == 2
    database.close()


def test_the_recipes_know_the_same_worker() -> None:
    """Its flags are ones that it has, its secret and its state folder are the same everywhere, and KEDA divides by its places."""
    deployment, budget = manifests("workers.yaml")
    (job,) = manifests("submit.yaml")
    (scaled,) = manifests("scaledobject.yaml")
    compose = yaml.safe_load((RECIPES / "compose" / "compose.yaml").read_text("utf-8"))
    worker = cast("list[str]", pod(deployment)["args"])
    unit = (RECIPES / "systemd" / "netclaw-opencode-worker.service").read_text("utf-8")
    starts = [worker, compose["services"]["worker"]["command"], unit.partition("ExecStart=")[2].partition("\n")[0].split()[1:]]
    for command in starts:
        assert app.run([*command, "--help"]) == 0
    (trigger,) = cast("list[dict[str, Mapping[str, str]]]", scaled["spec"]["triggers"])
    assert trigger["metadata"]["targetQueryValue"] == worker[worker.index("--concurrency") + 1]
    assert cast("dict[str, str]", scaled["spec"]["scaleTargetRef"])["name"] == deployment["metadata"]["name"]
    selectors = [cast("dict[str, object]", each["spec"]["selector"])["matchLabels"] for each in (deployment, budget)]
    assert selectors[0] == selectors[1] == deployment["metadata"]["labels"]
    assert [pod(each)[name] for name in ("envFrom", "env", "image") for each in (deployment,)] == [
        pod(job)[name] for name in ("envFrom", "env", "image")
    ]


def test_the_script_for_slurm_becomes_the_worker(tmp_path: Path) -> None:
    """In place of the shell, with a state folder of the node and the places that Slurm gave it; without an address it says so."""
    stand_in = tmp_path / "netclaw-opencode"
    stand_in.write_text('#!/bin/sh\necho "$$ $OPENCODE_DRIVER_STATE_DIR $@"\n', "utf-8")
    stand_in.chmod(0o755)
    script = RECIPES / "slurm" / "workers.sbatch"
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "3", "TMPDIR": "/scratch"}
    missing = subprocess.run(["/bin/bash", str(script)], env=environ, capture_output=True, text=True, check=False)
    assert missing.returncode and "OPENCODE_DRIVER_BATCH_URL" in missing.stderr
    environ["OPENCODE_DRIVER_BATCH_URL"] = "postgresql://me@db/batches"
    with subprocess.Popen(["/bin/bash", str(script)], env=environ, stdout=subprocess.PIPE, text=True) as shell:
        said, _ = shell.communicate()
    assert said == f"{shell.pid} /scratch/netclaw-7 worker --until-done --concurrency 3\n"
