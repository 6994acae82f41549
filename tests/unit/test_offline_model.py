"""The offline model by itself: scripts, gates, faults and its end, over plain HTTP and without OpenCode."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import netclaw_opencode.offline as offline
from netclaw_opencode.offline import (
    DEMO_PROMPT,
    Attempts,
    CloseSocket,
    ControlCharacters,
    CutStream,
    Drip,
    Empty,
    Finish,
    Garbage,
    Gated,
    Hang,
    HangMidStream,
    Html,
    Huge,
    OfflineModel,
    Reasoning,
    Status,
    Step,
    Text,
    ToolCall,
    Usage,
    demo_script,
)

SOON = 60.0
TOOLS = [{"type": "function", "function": {"name": "write", "parameters": {}}}]
SYSTEM = {"role": "system", "content": "You help.\n<env>\n  Working directory: /srv/proj\n</env>"}


@pytest.fixture
def model() -> Iterator[OfflineModel]:
    """A started model, stopped after the test."""
    with OfflineModel() as started:
        yield started


def user(text: str) -> Mapping[str, object]:
    """A user message."""
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def chat(model: OfflineModel, *messages: Mapping[str, object], tools: bool = True) -> httpx.Response:
    """One whole model call."""
    body: dict[str, object] = {"model": "scripted", "stream": True, "messages": [SYSTEM, *messages]}
    if tools:
        body["tools"] = TOOLS
    return httpx.post(f"{model.base_url}/chat/completions", json=body, trust_env=False, timeout=SOON)


def later(pool: ThreadPoolExecutor, model: OfflineModel, text: str) -> Future[httpx.Response]:
    """A model call that runs while the test goes on."""
    return pool.submit(chat, model, user(text))


def chunks(response: httpx.Response) -> list[dict[str, object]]:
    """The JSON chunks of a streamed answer."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def deltas(response: httpx.Response, key: str) -> list[object]:
    """The values of one delta key in the order of their arrival."""
    choices = [choice for chunk in chunks(response) for choice in chunk["choices"]]  # type: ignore[attr-defined]
    return [choice["delta"][key] for choice in choices if key in choice["delta"]]


def said(response: httpx.Response) -> str:
    """The whole text of a streamed answer."""
    return "".join(str(piece) for piece in deltas(response, "content"))


def finish(response: httpx.Response) -> list[object]:
    """The finish reasons of a streamed answer."""
    choices = [choice for chunk in chunks(response) for choice in chunk["choices"]]  # type: ignore[attr-defined]
    return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


def test_a_prompt_without_a_rule_is_echoed(model: OfflineModel) -> None:
    """Without any script the model repeats the last prompt, finishes properly and counts tokens."""
    response = chat(model, user("older"), {"role": "assistant", "content": "x"}, user("hello"))
    assert (said(response), finish(response)) == ("hello", ["stop"])
    assert response.text.endswith("data: [DONE]\n\n")
    assert "usage" in chunks(response)[-1]


def test_each_model_call_of_a_turn_takes_the_next_step(model: OfflineModel) -> None:
    """The step is the number of answers since the last prompt, so an older turn's answers do not count."""
    model.when("task", ToolCall("write", {"filePath": "${directory}/a.txt", "deep": [{"x": "${directory}"}], "n": 1}), Text("done"))
    before: list[Mapping[str, object]] = [user("task before"), {"role": "assistant", "content": "old"}]
    first = chat(model, *before, user("task now"))
    calls = deltas(first, "tool_calls")
    function = calls[0][0]["function"]  # type: ignore[index]
    assert function["name"] == "write"
    assert json.loads(function["arguments"]) == {"filePath": "/srv/proj/a.txt", "deep": [{"x": "/srv/proj"}], "n": 1}
    assert finish(first) == ["tool_calls"]
    second = chat(model, *before, user("task now"), {"role": "assistant", "content": ""}, {"role": "tool", "content": "ok"})
    assert (said(second), finish(second)) == ("done", ["stop"])
    assert [call.conversation.step for call in model.calls] == [0, 1]
    assert model.calls[1].conversation.tool_results == ("ok",)


def test_the_last_step_repeats_and_the_longest_rule_decides(model: OfflineModel) -> None:
    """A turn that asks for more steps than scripted gets the last one; a more exact rule wins over a wider one."""
    model.when("a", Text("wide"))
    model.when("a b", Text("exact"))
    assert said(chat(model, user("a b c"), {"role": "assistant", "content": "1"})) == "exact"
    assert said(chat(model, user("a c"))) == "wide"


def test_a_step_can_be_made_from_the_conversation(model: OfflineModel) -> None:
    """A callable step sees the prompt, the directory and the tools of the call."""
    model.when("where", lambda call: Text(f"{call.directory} {call.tool_names} {call.earlier_prompts}"))
    assert said(chat(model, user("x"), user("where"))) == "/srv/proj ('write',) ('x',)"


def test_a_failing_script_is_told_as_a_provider_error(model: OfflineModel) -> None:
    """A bug in the user's script reaches the user as status 400 with the reason; the model goes on working."""
    model.when("bug", lambda call: Text(str(1 // len(call.earlier_prompts))))
    response = chat(model, user("bug"))
    assert response.status_code == 400
    assert "ZeroDivisionError" in response.text
    assert said(chat(model, user("fine"))) == "fine"


def test_the_title_call_gets_the_title_and_another_call_without_tools_the_script(model: OfflineModel) -> None:
    """Only the side call for a title is answered by the title (F9)."""
    title: Mapping[str, object] = {"role": "system", "content": "You are a title generator. You output ONLY a thread title."}
    assert said(chat(model, title, user("x"), tools=False)) == "Scripted session"
    assert said(chat(model, user("x"), tools=False)) == "x"
    assert [call.has_tools for call in model.calls] == [False, False]
    assert model.calls_with("x") == ()


def test_parts_of_one_step_are_streamed_in_order(model: OfflineModel) -> None:
    """Thinking, text, several tool calls, counts and a finish reason can stand in one answer."""
    model.when("all", (Reasoning("hm"), Text("abcdef", piece_characters=4), ToolCall("a", {}), ToolCall("b", {}), Usage(7, 5, 2, 3)))
    response = chat(model, user("all"))
    assert deltas(response, "reasoning_content") == ["hm"]
    assert deltas(response, "content") == ["abcd", "ef"]
    assert [call[0]["index"] for call in deltas(response, "tool_calls")] == [0, 1]  # type: ignore[index]
    assert chunks(response)[-1]["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    model.when("long", (Text("cut"), Finish("length")))
    assert finish(chat(model, user("long"))) == ["length"]


def test_a_gate_holds_one_conversation_and_not_the_other(model: OfflineModel) -> None:
    """What stands before the gate is sent, the rest waits for the test; others are answered meanwhile."""
    gate = model.gate("g")
    model.when("held", Gated(gate, "first ", "second"))
    with ThreadPoolExecutor(1) as pool:
        held = later(pool, model, "held")
        assert gate.wait_reached(SOON)
        assert said(chat(model, user("free"))) == "free"
        assert model.wait_until(lambda seen: seen.open_connections == 1, SOON)
        assert not held.done()
        gate.open()
        assert said(held.result(SOON)) == "first second"
    assert said(chat(model, user("held"))) == "first second", "an open gate holds nobody"
    assert gate.reached == 2
    assert model.gate("g") is gate


def test_a_gate_that_nobody_reaches_is_told_after_the_time_out(model: OfflineModel) -> None:
    """Every wait is bounded and says whether it was fulfilled."""
    assert not model.gate("never").wait_reached(0.01)
    assert not model.wait_until(lambda seen: seen.call_count > 0, 0.01)


@pytest.mark.parametrize("step", [Hang(), HangMidStream("begun"), Drip(interval_seconds=0.01)], ids=["hang", "mid-stream", "drip"])
def test_stopping_ends_every_hanging_answer_and_the_thread(step: Step) -> None:
    """stop() returns with callers still hanging: they are cut off, and neither thread nor connection is left."""
    threads = threading.active_count()
    model = OfflineModel().start()
    model.when("x", step)
    with ThreadPoolExecutor(3) as pool:
        held = [later(pool, model, f"x{number}") for number in range(3)]
        assert model.wait_until(lambda seen: seen.open_connections == 3 and seen.call_count == 3, SOON)
        model.stop()
        model.stop()
        assert [isinstance(item.exception(SOON), httpx.TransportError) for item in held] == [True] * 3
    assert (model.open_connections, threading.active_count()) == (0, threads)


def test_a_caller_that_leaves_frees_its_connection(model: OfflineModel) -> None:
    """An aborted turn closes its model call; a test can wait for that instead of sleeping."""
    model.when("x", HangMidStream("begun"))
    body = {"model": "m", "stream": True, "messages": [user("x")]}
    with httpx.stream("POST", f"{model.base_url}/chat/completions", json=body, trust_env=False, timeout=SOON) as response:
        pieces = response.iter_text()  # kept: a forgotten iterator would close the response
        assert "begun" in next(pieces)
        assert model.open_connections == 1
    assert model.wait_until(lambda seen: seen.open_connections == 0, SOON)


def test_a_gated_caller_that_leaves_is_not_waited_for(model: OfflineModel) -> None:
    """A gate that is opened after its caller left disturbs nobody."""
    gate = model.gate("g")
    model.when("x", Gated(gate, "begun", "rest"))
    body = {"model": "m", "stream": True, "messages": [user("x")]}
    with httpx.stream("POST", f"{model.base_url}/chat/completions", json=body, trust_env=False, timeout=SOON):
        assert gate.wait_reached(SOON)
    assert model.wait_until(lambda seen: seen.open_connections == 0, SOON)
    gate.open()
    assert said(chat(model, user("x"))) == "begunrest"


def test_error_statuses_carry_their_headers_and_body(model: OfflineModel) -> None:
    """Rate limits with and without retry-after, refusals and broken providers are one step type."""
    model.when("limit", Status(429, retry_after_seconds=3600))
    model.when("deny", Status(401, body="no", headers={"x-a": "b"}))
    limited, denied = chat(model, user("limit")), chat(model, user("deny"))
    assert (limited.status_code, limited.headers["retry-after"], limited.json()["error"]["code"]) == (429, "3600", "429")
    assert (denied.status_code, denied.headers["x-a"], denied.text) == (401, "b", "no")


def test_the_repetition_of_a_request_can_be_answered_otherwise(model: OfflineModel) -> None:
    """Attempts are counted per identical request, so another conversation starts from the first."""
    model.when("x", Attempts(Status(429), CloseSocket(), Text("third")))
    assert chat(model, user("x")).status_code == 429
    with pytest.raises(httpx.RemoteProtocolError):
        chat(model, user("x"))
    assert [said(chat(model, user("x"))) for _ in range(2)] == ["third", "third"]
    assert chat(model, user("other x")).status_code == 429


def test_broken_streams_break_in_the_way_that_was_asked_for(model: OfflineModel) -> None:
    """A cut stream ends without a finish reason, garbage is no JSON, a page is HTML, an empty answer is complete."""
    model.when("cut", CutStream("half"))
    model.when("garbage", Garbage())
    model.when("page", Html())
    model.when("empty", Empty())
    model.when("reset", (Text("a"), CloseSocket()))
    cut = chat(model, user("cut"))
    assert (said(cut), finish(cut), "[DONE]" in cut.text) == ("half", [], False)
    with pytest.raises(json.JSONDecodeError):
        chunks(chat(model, user("garbage")))
    assert chat(model, user("page")).headers["content-type"].startswith("text/html")
    empty = chat(model, user("empty"))
    assert (said(empty), finish(empty)) == ("", ["stop"])
    with pytest.raises(httpx.TransportError):
        chat(model, user("reset"))


def test_large_and_hostile_text_arrives_exactly(model: OfflineModel) -> None:
    """A megabyte arrives whole; control characters arrive as they are."""
    model.when("huge", Huge(1_000_000))
    model.when("control", ControlCharacters())
    assert len(said(chat(model, user("huge")))) == 1_000_000
    text = said(chat(model, user("control")))
    assert all(sign in text for sign in ("\x1b]8;;", "\u202e", "\x00", "\r\n", "\x9b"))


def test_a_drip_can_end(model: OfflineModel) -> None:
    """A counted drip finishes like any answer; one without pauses is refused."""
    model.when("x", Drip(interval_seconds=0.001, count=5, text="ab"))
    assert said(chat(model, user("x"))) == "ab" * 5
    with pytest.raises(ValueError, match="interval_seconds"):
        Drip(interval_seconds=0)


def test_what_is_no_step_is_refused_where_it_is_written(model: OfflineModel) -> None:
    """A mistake in a script is an error at once, not a strange turn later."""
    with pytest.raises(TypeError, match="not a part"):
        model.when("x", "plain text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one step"):
        model.when("x")
    with pytest.raises(ValueError, match="at least one step"):
        Attempts()


def test_clear_forgets_rules_calls_and_gates(model: OfflineModel) -> None:
    """One model can serve many tests: what one of them left behind is gone, and its gates are open."""
    gate = model.gate("g")
    model.when("x", Gated(gate, "a", "b"))
    with ThreadPoolExecutor(1) as pool:
        held = later(pool, model, "x")
        assert gate.wait_reached(SOON)
        model.clear()
        assert said(held.result(SOON)) == "ab"
    assert model.gate("g") is not gate
    assert model.calls == ()
    assert said(chat(model, user("x"))) == "x"


def test_recorded_calls_keep_no_key_and_tell_the_session(model: OfflineModel) -> None:
    """A recorded call holds body, model and OpenCode's session id, but not the authorization header."""
    headers = {"authorization": "Bearer secret-key", "x-session-id": "ses_1"}
    body = {"model": "m", "stream": True, "messages": [user("x")]}
    httpx.post(f"{model.base_url}/chat/completions", json=body, headers=headers, trust_env=False, timeout=SOON)
    call = model.calls[0]
    assert (call.model, call.body["messages"], call.conversation.session_id) == ("m", [user("x")], "ses_1")
    assert "secret-key" not in str(call.headers)


def test_what_it_does_not_serve_is_refused_clearly(model: OfflineModel) -> None:
    """Other routes are 404, a call without streaming is 400, a list of models is served."""
    with httpx.Client(base_url=model.base_url, trust_env=False, timeout=SOON) as client:
        assert [item["id"] for item in client.get("/models").json()["data"]] == ["scripted", "thinker", "budgeted"]
        assert client.get("/nothing").status_code == 404
        assert client.post("/chat/completions", json={"messages": []}).status_code == 400
        assert client.post("/chat/completions", content=iter([b'{"stream": true, "messa', b'ges": []}'])).status_code == 200
    assert model.call_count == 1


def test_a_caller_that_speaks_no_http_is_dropped(model: OfflineModel) -> None:
    """Nonsense on the socket ends that connection and nothing else."""
    with httpx.Client(trust_env=False, timeout=SOON) as client, pytest.raises(httpx.TransportError):
        client.post(f"{model.base_url}/chat/completions", content=b"{", headers={"content-length": "-1"})
    assert said(chat(model, user("x"))) == "x"


def test_the_configuration_names_the_running_model(model: OfflineModel) -> None:
    """The configuration points to this model alone, and more settings can be added to it (F9)."""
    config = model.provider_config(model="thinker", permission={"bash": "ask"})
    text = json.dumps(config)
    assert model.base_url in text
    assert (config["model"], config["small_model"]) == ("offline/thinker", "offline/scripted")
    assert (config["share"], config["autoupdate"], config["enabled_providers"]) == ("disabled", False, ["offline"])
    assert config["permission"] == {"bash": "ask"}


def test_a_model_can_be_started_again_but_not_twice() -> None:
    """A second start of a running model is a mistake; a stopped one may come back."""
    model = OfflineModel()
    model.stop()
    with model:
        with pytest.raises(RuntimeError, match="already started"):
            model.start()
        assert said(chat(model, user("x"))) == "x"
    with model:
        assert said(chat(model, user("y"))) == "y"


def test_the_demo_writes_a_module_that_its_check_finds_wrong_and_mends_it(tmp_path: Path) -> None:
    """What the stand-in writes in the demo is real: the file's own doctests fail, and pass after its edit."""
    target = tmp_path / "slugify.py"

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(target)], capture_output=True, encoding="utf-8", check=False, timeout=60)

    def call(model: OfflineModel, prompt: str) -> tuple[str, dict[str, str]]:
        asked = deltas(chat(model, user(prompt)), "tool_calls")[0][0]["function"]  # type: ignore[index]
        return str(asked["name"]), json.loads(str(asked["arguments"]))

    with OfflineModel(demo_script(pause_seconds=0.0)) as model:
        name, written = call(model, DEMO_PROMPT)
        assert (name, written["filePath"]) == ("write", "/srv/proj/slugify.py")
        target.write_text(written["content"], encoding="utf-8")
        assert run().returncode == 1
        name, edit = call(model, "The task is not done: this check fails.")
    assert name == "edit" and written["content"].count(edit["oldString"]) == 1
    target.write_text(written["content"].replace(edit["oldString"], edit["newString"]), encoding="utf-8")
    done = run()
    assert (done.returncode, done.stdout) == (0, "3 of 3 doctests pass\n")


def test_the_public_names_are_all_there_and_sorted() -> None:
    """__all__ is what the package promises."""
    assert sorted(offline.__all__, key=str.casefold) == sorted(set(offline.__all__), key=str.casefold)
    assert all(hasattr(offline, name) for name in offline.__all__)


def test_it_needs_only_the_standard_library_and_nothing_of_the_driver() -> None:
    """Users' tests can import the model without the driver's dependencies being loaded."""
    code = "import sys, netclaw_opencode.offline; print([m for m in ('httpx','anyio','jsonschema','yaml','pluggy') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, timeout=60)
    assert run.stdout.strip() == "[]"
