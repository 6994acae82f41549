"""The tag on a session: read as it was written, and never more believed than its writer can be."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netclaw_opencode.driver.tags import METADATA_KEY, SessionTag, other_metadata, own_tags
from netclaw_opencode.opencode.process.identity import ProcessIdentity
from netclaw_opencode.opencode.wire.types import Session

ID, FORK = "ses_0000000001", "ses_0000000002"
FULL = SessionTag(
    task="run_task",
    session_id=ID,
    created_by="0123abcd",
    owner=ProcessIdentity("boot", "pid:[1]", 7, 9, "machine"),
    forked_from=FORK,
    forked_through="msg_1",
    message_id="msg_2",
    deadline_ms=5,
    attempt=1,
    output_schema="a" * 64,
    keys={"k": "r"},
)


def session(identifier: str, tag: object, *, created_ms: int = 1) -> Session:
    """A session with that in its metadata, beside a stranger's note."""
    return Session(identifier, "t", "/d", created_ms, created_ms, metadata={"theirs": 1, METADATA_KEY: tag})


def test_a_tag_is_read_back_as_it_was_written() -> None:
    """Every field; what is not known is left out, and what other_metadata noted is theirs."""
    assert SessionTag.of(session(ID, FULL.to_metadata())) == FULL
    assert SessionTag().to_metadata() == {"version": 2}
    assert other_metadata(session(ID, {})) == {"theirs": 1}


def test_a_copy_is_no_tag() -> None:
    """L21: a fork copies the metadata (F62); the tag names the session that it was written for."""
    assert SessionTag.of(session(FORK, FULL.to_metadata())) is None
    updated = FULL.with_facts({"message_id": "msg_3"}, session_id=FORK)
    assert SessionTag.of(session(FORK, updated.to_metadata())) == updated
    assert (updated.message_id, updated.keys) == ("msg_3", FULL.keys)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(string.ascii_letters, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*FULL.to_metadata(), "key:x", "other"]), ANYTHING) | ANYTHING)
def test_whatever_stands_there_is_read_without_an_error(found: object) -> None:
    """The agent can write it, too. A field of another type counts as absent, and what is read can be written."""
    tag = SessionTag.of(session(ID, found))
    if tag is not None:
        assert SessionTag.from_metadata(tag.to_metadata()) == tag


@pytest.mark.parametrize("owner", ["me", {"host": "h", "pid": 1, "create_time": 1.5}, {"boot_id": "b", "pid": True}], ids=str)
def test_a_tag_of_version_1_has_no_owner_that_could_be_looked_up(owner: object) -> None:
    """A host's name and a start on the wall clock prove nothing (L19, L20); the rest of it counts."""
    tag = SessionTag.of(session(ID, {"version": 1, "task": "run_task", "created_by": "x", "owner": owner, "message_id": "msg_1"}))
    assert tag is not None
    assert (tag.version, tag.task, tag.created_by, tag.owner, tag.message_id) == (1, "run_task", "x", None, "msg_1")


def test_a_schema_of_version_1_is_not_believed() -> None:
    """L37: it stands where the agent can change it, so it is known as one that is not kept."""
    tag = SessionTag.of(session(ID, {"output_schema": {"type": "object"}}))
    assert tag is not None and tag.output_schema == "0" * 64


def test_of_several_equal_tags_without_a_session_only_the_oldest_counts() -> None:
    """L21: version 1 does not tell a fork from its original; the original is older. A copy of a full tag never counts."""
    old = {"version": 1, "task": "run_task", "created_by": "x"}
    listed = [
        session("ses_fork", old, created_ms=9),
        session("ses_original", old, created_ms=5),
        session(FORK, FULL.to_metadata(), created_ms=3),
        session(ID, FULL.to_metadata(), created_ms=2),
        session("ses_unnamed", {"task": "a"}, created_ms=7),
        session("ses_unnamed_fork", {"task": "a"}, created_ms=8),
        session("ses_early_copy", {"task": "run_task", "created_by": FULL.created_by}, created_ms=4),
    ]
    assert [item.id for item, _ in own_tags(listed)] == [ID, "ses_original", "ses_unnamed"]
