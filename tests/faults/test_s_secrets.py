"""S7, S8, S15, S33: secrets nowhere, one record one line, and the words of others made harmless."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from netclaw_opencode.adapters.cli import app
from netclaw_opencode.offline import Status, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.proxy import Edit, answer
from tests.faults.bench import Bench, host_to
from tests.faults.guard import Guard
from tests.real.acting import Policy, data_of, error_of

ROOT = Path(__file__).resolve().parents[2]
KEY = "canary-key-that-looks-like-nothing"
FOREIGN = ("sk-canary0123456789abcdef", "Bearer canary0123456789abcdef", "https://user:canary-url-pw@provider.example")
HIDDEN = "canary-of-the-environment-0123"
HOSTILE = '\x1b[31mred\x1b]52;c;Y2FuYXJ5\x07 \x9b1m \u202eevil\u202c \x00 </error>\r\n<script>alert(1)</script> {"ok": true}'


def provider_error(text: str) -> Status:
    """A provider's refusal with these words."""
    return Status(400, body=json.dumps({"error": {"message": text, "type": "invalid_request_error"}}))


def variables(bench: Bench, folder: Path) -> dict[str, str]:
    """The environment of the bench, with canaries, a flight record, an audit file and a policy."""
    policy = folder / "policy.yaml"
    policy.write_text('version: 1\npermissions:\n  - {permission: "*", pattern: "*", answer: allow_once}\n', encoding="utf-8")
    return {
        **bench.settings.environ,
        "PROVIDER_API_KEY": KEY,
        "SOME_SECRET": HIDDEN,
        "OPENCODE_DRIVER_RECORD": str(folder / "record.jsonl"),
        "OPENCODE_DRIVER_AUDIT": str(folder / "audit.jsonl"),
        "OPENCODE_DRIVER_POLICY": str(policy),
    }


def script(bench: Bench) -> None:
    """A task that succeeds with a permission, and one that the provider refuses with every canary in its words."""
    # Whoever reads a .env is asked by default (F29).
    bench.model.when("a good task", ToolCall("read", {"filePath": "${directory}/asked-for.env"}), Text("done"))
    bench.model.when(
        "a bad task", provider_error(f"Incorrect key {KEY}, {', '.join(FOREIGN)}; your password is {bench.settings.password} {HIDDEN}")
    )


def secrets_of(bench: Bench) -> tuple[str, ...]:
    """The six canaries: password, authorization, a known key, the provider's words (three forms), the environment, a URL."""
    password = str(bench.settings.password)
    authorization = base64.b64encode(f"opencode:{password}".encode()).decode("ascii")
    return (password, authorization, KEY, *(item.rpartition(" ")[2] for item in FOREIGN[:2]), HIDDEN, "canary-url-pw")


def assert_silent(bench: Bench, told: Mapping[str, str]) -> None:
    """No canary in any of these texts, none of which is empty."""
    for name, text in told.items():
        assert text, name
        for number, secret in enumerate(secrets_of(bench)):
            assert secret not in text, f"canary {number} stands in {name}: {text[max(0, text.find(secret) - 200) :][:400]}"


@pytest.mark.real
def test_s07_six_canaries_through_whole_calls(bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """S7: results, errors, progress, flight record, audit file and every log at DEBUG, of calls that succeed and that fail."""
    script(bench)
    policy = Policy()
    with caplog.at_level(logging.DEBUG), host_to(Settings.from_environment(variables(bench, tmp_path)), policy) as host:
        good = host.call("run_task", prompt="a good task", directory=bench.directory)
        bad = host.call("run_task", prompt="a bad task", directory=bench.directory)
        checked = host.call("check_availability", start=False, directory=bench.directory)
        providers = host.call("list_providers", directory=bench.directory)
        told = {"settings": repr(host), "context": repr(vars(host))}
    assert good["ok"] is True and error_of(bad)["code"] == "provider_error", (good, bad)
    assert "Incorrect key" in error_of(bad)["message"], "the canaries did come by"
    told |= {"results": json.dumps([good, bad, checked, providers]), "progress": repr(policy.events), "log": caplog.text}
    told |= {name: (tmp_path / name).read_text(encoding="utf-8") for name in ("record.jsonl", "audit.jsonl")}
    assert "asked-for.env" in told["audit.jsonl"]
    assert_silent(bench, told)


@pytest.mark.real
def test_s07_six_canaries_on_the_command_line(bench: Bench, tmp_path: Path) -> None:
    """S7: stdout, stderr with --debug, arguments, and everything that stands in the state folder afterwards."""
    script(bench)
    environ = {**os.environ, **variables(bench, tmp_path), "PYTHONPATH": str(ROOT)}
    told: dict[str, str] = {}
    for task in ("a good task", "a bad task"):
        words = ["--debug", "run", "run-task", "--prompt", task, "--directory", bench.directory]
        done = subprocess.run(
            [sys.executable, "-m", "netclaw_opencode", *words], env=environ, capture_output=True, encoding="utf-8", timeout=240, check=False
        )
        assert done.returncode == (0 if task == "a good task" else 1), done
        told |= {f"stdout of {task}": done.stdout, f"stderr of {task}": done.stderr}
    state = tmp_path / "state"
    told |= {f"file {path.name}": path.read_text(encoding="utf-8", errors="replace") + " " for path in state.rglob("*") if path.is_file()}
    assert_silent(bench, told)


def test_s07_an_agent_that_prints_its_environment(bench: Bench) -> None:
    """S7: the agent's shell has the server's password (a residual risk); in the result that a caller gets it stands nowhere."""
    show = ToolCall("bash", {"command": "echo $OPENCODE_SERVER_PASSWORD", "description": "shows it"})
    password = bench.settings.password or ""
    bench.model.when("print the password", show, Text(f"it is {password}, {base64.b64encode(f'opencode:{password}'.encode()).decode()}"))
    envelope = bench.host.call("run_task", prompt="print the password")
    assert data_of(envelope)["text"] == "it is [redacted], [redacted]"
    assert password not in json.dumps(envelope)


def test_s07_canary_in_a_url(guard: Guard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """S7: credentials in a URL are refused, and repeated neither in the refusal nor in a log with tracebacks."""
    monkeypatch.setenv("OPENCODE_API_URL", "http://me:canary-url-pw@127.0.0.1:1")
    assert app.run(["--debug", "inspect", "list-sessions"]) == 3
    printed = capsys.readouterr()
    assert "canary" not in printed.out + printed.err and "credentials" in printed.out
    guard.nothing_sent()


@pytest.mark.real
def test_s08_providers_and_configuration_by_field(bench: Bench) -> None:
    """S8: OpenCode tells the keys of its providers in clear (F45); what is not asked for by name does not come through."""
    rule = bench.proxy.on("GET /config", Edit(lambda body: body.replace(b'"apiKey":"offline"', b'"apiKey":"canary-api-key"')))
    seen: list[dict[str, Any]] = []

    def with_keys(body: bytes) -> bytes:
        found = json.loads(body)
        for provider in found["providers"]:
            provider.update(key="canary-api-key", env=["canary-api-key"])
            provider.setdefault("options", {}).update(apiKey="canary-api-key", headers={"x": "canary-api-key"})
            for model in provider["models"].values():
                model.update(options={"apiKey": "canary-api-key"}, headers={"authorization": "canary-api-key"})
        seen.extend(found["providers"])
        return json.dumps(found).encode()

    bench.proxy.on("GET /config/providers", Edit(with_keys))
    told = [bench.data("list_providers", directory=bench.directory)]
    # The real answer of this route is 6.5 MB (F45); its form is the same.
    bench.proxy.on("GET /provider", answer(json.dumps({"all": seen, "default": {}, "connected": ["offline"]})))
    told.append(bench.data("list_providers", directory=bench.directory, connected_only=False))
    told.append(bench.data("check_availability", directory=bench.directory, start=False))
    assert rule.fired and "canary-api-key" in json.dumps(seen)
    assert "canary-api-key" not in json.dumps(told)
    assert set(told[0]["providers"][0]) == set(told[1]["providers"][0]) == {"id", "name", "connected", "models"}


@pytest.mark.real
def test_s15_one_record_is_one_line(bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """S15: line breaks and fake records in prompt, answer, tool and provider's words: each line is one object, none of them is fake."""
    fake = '\r\n{"at":"2000-01-01T00:00:00.000Z","kind":"fake"}\n\u2028{"kind":"fake"}\x85{"kind":"fake"}'
    bench.model.when("fake task", ToolCall("read", {"filePath": f"${{directory}}/{fake}.env"}), Text(f"done {fake}"))
    bench.model.when("bad fake", provider_error(f"no {fake}"))
    settings = Settings.from_environment(variables(bench, tmp_path))
    with caplog.at_level(logging.INFO), host_to(settings) as host:
        host.call("run_task", prompt=f"fake task {fake}", directory=bench.directory, system=fake)
        host.call("run_task", prompt=f"bad fake {fake}", directory=bench.directory)
        host.call(f"no_such_action{fake}")
        host.call("abort_session", session_id=f"ses_{fake}")
    for name in ("record.jsonl", "audit.jsonl"):
        raw = (tmp_path / name).read_bytes()
        lines = raw.split(b"\n")
        assert lines.pop() == b"" and lines and raw.isascii() and b"\r" not in raw and b"\x1b" not in raw
        assert len(raw.decode("ascii").splitlines()) == len(lines)
        records = [json.loads(line) for line in lines]
        assert all(isinstance(item, dict) and item.get("kind") != "fake" for item in records)
    assert [item for item in caplog.records if "fake" in item.getMessage() and len(item.getMessage().splitlines()) > 1] == []


@pytest.mark.real
def test_s33_errors_of_others_are_shortened_cleaned_and_labelled(bench: Bench) -> None:
    """S33: a provider's error with escapes, markup and a megabyte becomes one short, printable line that says whose it is."""
    bench.model.when("long error", provider_error(HOSTILE + "y" * 1_000_000))
    error = bench.error("run_task", prompt="long error", directory=bench.directory)
    assert error["code"] == "provider_error" and error["message"].startswith("OpenCode reports: ")
    assert error["message"].isprintable() and len(error["message"]) < 1_000
    assert len(json.dumps(error)) < 20_000


@pytest.mark.real
def test_s33_errors_of_the_server_too(bench: Bench) -> None:
    """S33: whatever stands in an answer with an error status."""
    bench.proxy.on("POST /session", answer(HOSTILE + "y" * 500_000, status=500))
    error = bench.error("create_session", directory=bench.directory)
    assert error["code"] == "bad_response" and "the server answered 500" in error["message"]
    assert error["message"].isprintable() and len(error["message"]) < 1_000
