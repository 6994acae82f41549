"""The rows of "Security", S1-S34, as data: what must hold, and how it is shown.

Owns the list. ``shown`` also says where a row was read with good sense rather than by the letter.
"""

from __future__ import annotations

from tests.faults.bad_rows import Row, by_id

ROWS = by_id(
    (
        Row(
            "S1",
            "version gate",
            "the proxy rewrites the version: below 1.18 and from 2 on refused (all this package can drive lies between), 1.18.0 to 1.18.21 "
            "warned of and never started by us",
        ),
        Row(
            "S2",
            "a server of ours has a fresh random password, by environment and never by argument",
            "two real starts; /proc/<pid>/cmdline",
        ),
        Row(
            "S3",
            "a server without a password",
            "a real one, on 0.0.0.0: refused; on loopback: told by check_availability, which asks without credentials (there, and not in "
            "every result)",
        ),
        Row(
            "S4",
            "nothing in clear text to another machine",
            "every form of a host, the password and the prompt alike; certificates are checked",
        ),
        Row(
            "S5",
            "addresses that no server should have",
            "link-local, unspecified, multicast, mapped into IPv6, metadata names. Plain http knows only loopback by its very name, "
            "and https binds the name to a certificate: a name that resolves to something else later finds no way in",
        ),
        Row("S6", "redirects are not followed", "the proxy redirects each route to a listener: none connects"),
        Row("S7", "no secret in messages, logs, records, state files, arguments, representations", "six canaries through whole calls"),
        Row("S8", "providers and configuration by an allow-list of fields", "canary keys in the real server's configuration"),
        Row("S9", "ids are checked; no request outside the list of routes", "10,000 hostile ids against the client; raw paths"),
        Row("S10", "no text of a user in a header", "every header of whole calls whose fields hold control characters and other letters"),
        Row(
            "S11",
            "only routes of the allow-list, never shell, pty, file, upgrade, tui, auth, share or a change of config",
            "the proxy's log of whole calls",
        ),
        Row("S12", "sharing", "no route for it; a real server whose configuration shares: told"),
        Row(
            "S13",
            "the model's text is data",
            "look-alikes of ids, tool calls and ends of results come through unchanged and change nothing",
        ),
        Row("S14", "terminal safety", "a corpus of ECMA-48 and random text through views and notices"),
        Row("S15", "one record, one line", "line breaks and fake records in every field; flight record, audit, log"),
        Row("S16", "size caps", "one byte over each; memory"),
        Row("S17", "no compressed answers", "gzip, br, zstd and chains, for answers and for events; memory"),
        Row("S18", "JSON: depth, NaN, a key twice, digits", "answers of the server, and flags"),
        Row(
            "S19",
            "no eval, exec, pickle, shell; YAML through a safe loader only",
            "every line of the package, read as a syntax tree; a file that asks for an object",
        ),
        Row(
            "S20",
            "JSON Schemas of callers fetch nothing and search nothing",
            "a remote reference (no connection), a catastrophic pattern (refused at once)",
        ),
        Row(
            "S21",
            "archives",
            reason="none is read: the package and its plugins come by pip; S19's tree holds no archive module, and a test of S19 says so",
        ),
        Row("S22", "state folder 0700, files 0600, no links", "umask 000 and 022, links planted before and during 10,000 swaps"),
        Row("S23", "atomic writes; locks of the kernel", "a writer killed 200 times: old or new, never half; its lock is free"),
        Row(
            "S24",
            "a signal only after identity",
            "1,000 forged records: no signal; strangers with the right argv or port. pid, start time, user, argv with the recorded port, "
            "an answer that is not OpenCode's; silence is no proof, since ours may hang",
        ),
        Row("S25", "never process 1, ourselves, our parents, or a negative pid", "every signalling way, with the kernel's calls recorded"),
        Row("S26", "minimal environment and umask 077 for a server of ours", "/proc/<pid>/environ and the modes of a real start"),
        Row(
            "S27",
            "residual risk: the agent's shell knows the server's password",
            "measured on the real server; told in README, SKILL.md, safety.md, check_availability",
        ),
        Row("S28", "working directories", "paths with links, dots and slashes, against roots and without"),
        Row("S29", "cost guard", "a runaway on the real server ends before ten model calls"),
        Row("S30", "which program", "a trap in the current folder, empty and relative entries of PATH"),
        Row(
            "S31",
            "supply chain",
            "minimum versions, hashes for all that `make` installs, no install script, no network at import. pip-audit cannot reach its "
            "database from an offline machine, so it is no test",
        ),
        Row("S32", "no leak between sessions", "two tasks at once with canaries; events of one session only"),
        Row("S33", "errors of server and provider: shortened, cleaned, labelled", "a provider's error with escapes, markup and 1 MB"),
        Row("S34", "no telemetry", "an audit hook on every connection and look-up of whole calls: the server, and nothing else"),
    )
)
