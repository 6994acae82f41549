"""The codes of everything that the check of a skill package can find, as one table.

Owns them: what a code means, how grave it is and how it is fixed. The codes are stable; the page for authors is made from
this table, and each row has an example package among the tests. An error is what some host refuses or misreads, a warning
what works worse than it could.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Code:
    """One row; ``area`` is the heading under which the page for authors shows it."""

    code: str
    severity: Severity
    area: str
    summary: str
    remedy: str


_FILES, _MANIFEST, _SCHEMAS, _HANDLERS, _PAGE, _TOGETHER = (
    *("Files", "skill.yaml", "Schemas and examples", "Handlers"),
    *("SKILL.md", "What must agree"),
)

_ROWS = (
    Code("unreadable", "error", _FILES, "A file cannot be read: it is no regular file, too large, or not allowed to be read.", "Put a plain file of at most 1 MiB there."),
    Code("not_utf8", "error", _FILES, "A text file is not UTF-8.", "Save it as UTF-8."),
    Code("byte_order_mark", "error", _FILES, "A page or manifest begins with a byte order mark.", "Save it as UTF-8 without BOM."),
    Code("carriage_return", "warning", _FILES, "A page has Windows line ends.", "Save it with LF line ends."),
    Code("invisible_character", "error", _FILES, "A text holds characters that nobody sees; scanners turn the skill away.", "Remove the character."),
    Code("symlink", "error", _FILES, "A file of the skill is a symbolic link; hosts do not follow it.", "Put the file itself there."),
    Code("special_file", "error", _FILES, "A pipe, socket or device lies in the skill.", "Remove it."),
    Code("too_many_files", "error", _FILES, "The skill holds more files than hosts take.", "Leave out what no text of the skill names."),
    Code("case_clash", "error", _FILES, "Two names differ in case alone; some systems see one.", "Rename one of them."),
    Code("path_outside", "error", _FILES, "A path leads out of the package.", "Keep the file in the package."),
    Code("file_missing", "error", _FILES, "A file is named but is not there.", "Write the file or correct the path."),
    Code("python_in_skill", "warning", _FILES, "A skill without a manifest holds Python source, which scanners turn away and many hosts cannot run.", "Ship a console command, and name it in SKILL.md."),
    Code("scanner_phrase", "error", _FILES, "A line reads like an attack to the scanners of hosts, which turn the whole skill away.", "Word the line differently."),
    Code("took_too_long", "error", _FILES, "The check did not finish in its time; a regular expression of a schema, most likely.", "Simplify the pattern."),
    Code("syntax", "error", _MANIFEST, "A file is not YAML, JSON, TOML or Python.", "Correct the syntax at that line."),
    Code("duplicate_key", "error", _MANIFEST, "A key stands twice in one map.", "Keep one of them."),
    Code("not_plain", "error", _MANIFEST, "YAML holds an anchor, alias, tag, merge key or a second document.", "Write the values out."),
    Code("too_deep", "error", _MANIFEST, "A file is nested too deeply.", "Make it flatter."),
    Code("missing_key", "error", _MANIFEST, "A required key is missing.", "Add it."),
    Code("unknown_key", "error", _MANIFEST, "A key is not known there.", "Correct or remove it; in SKILL.md, put it under metadata."),
    Code("bad_value", "error", _MANIFEST, "A value of skill.yaml has not the form that its schema asks for.", "Follow schemas/skill.schema.json."),
    Code("bad_skill_name", "error", _MANIFEST, "The skill's name is not small letters and digits joined by single hyphens, at most 64.", "Use a name such as my-skill."),
    Code("bad_version", "error", _MANIFEST, "The version is not major.minor.patch, or is not quoted.", 'Write it as "1.0.0".'),
    Code("bad_action_name", "error", _MANIFEST, "An action's name is not small letters and digits joined by single underscores, at most 64.", "Use a name such as add_note."),
    Code("bad_variable_name", "error", _MANIFEST, "An environment variable's name is not capital letters, digits and underscores.", "Use a name such as MY_SKILL_URL."),
    Code("reserved_variable", "error", _MANIFEST, "An environment variable begins with NETCLAW_, which a host keeps for its own configuration.", "Use a prefix of your own."),
    Code("duplicate_name", "error", _MANIFEST, "Two actions or two variables have one name.", "Rename or remove one of them."),
    Code("secret_default", "error", _MANIFEST, "A secret has a default.", "Remove the default."),
    Code("unknown_error_code", "error", _MANIFEST, "An error code is not one of docs/errors.md.", "Use a code of that table."),
    Code("repeated_error_code", "error", _MANIFEST, "An action lists one of common_errors again.", "Remove it from the action."),
    Code("tool_name_too_long", "warning", _MANIFEST, "With the prefix that MCP hosts add, an action's name is longer than the 64 characters of model providers.", "Shorten the name of the action or of the skill."),
    Code("schema_not_object", "error", _SCHEMAS, "A schema does not describe an object.", 'Begin with "type": "object".'),
    Code("schema_invalid", "error", _SCHEMAS, "A schema is no valid JSON Schema of 2020-12, or refers to something outside itself.", "Correct it; nothing is fetched."),
    Code("schema_open", "error", _SCHEMAS, "An object does not close itself, or a list does not say what it holds.", 'Add "additionalProperties": false, or items.'),
    Code("schema_not_plain", "error", _SCHEMAS, "An input schema uses $ref, oneOf, a list of types or the like, which weak models and some hosts cannot read.", "Write the schema out; say conditions in the description."),
    Code("reserved_parameter", "error", _SCHEMAS, "A parameter begins with timeout, background or rationale, which hosts take for themselves.", "Rename it, for example wait_seconds."),
    Code("required_unknown", "error", _SCHEMAS, "A required field is not among the properties.", "Describe it, or do not require it."),
    Code("no_description", "error", _SCHEMAS, "A field has no description.", "Say what it is, with the unit."),
    Code("description_too_long", "error", _SCHEMAS, "A field's description is longer than 2,048 characters.", "Shorten it."),
    Code("schema_value_mismatch", "error", _SCHEMAS, "A default or an example in a schema breaks that schema.", "Correct the value or the schema."),
    Code("example_mismatch", "error", _SCHEMAS, "An example of an action breaks the action's schema.", "Correct the example or the schema."),
    Code("unused_schema", "error", _SCHEMAS, "No action names this schema file.", "Name it or remove it."),
    Code("redacted_name", "warning", _SCHEMAS, "Hosts black out text under names that begin with token, secret, password, api_key or authorization.", "Rename it where the text is needed."),
    Code("handler_missing", "error", _HANDLERS, "The module or function of a handler is not there.", "Name an async function as module:function."),
    Code("handler_not_async", "error", _HANDLERS, "A handler is not an async function of (arguments, context).", "Write async def name(arguments, context)."),
    Code("handler_elsewhere", "warning", _HANDLERS, "A handler's module is not in this folder, so it could not be looked for.", "Keep it in the package, or check with --import where it is installed."),
    Code("plugin_missing", "error", _HANDLERS, "The plugin module is not there.", "Correct the module's name."),
    Code("import_failed", "error", _HANDLERS, "With --import: a module cannot be imported.", "Read the reason; install what it needs."),
    Code("frontmatter_missing", "error", _PAGE, "SKILL.md does not begin with frontmatter between two lines of ---.", "Begin with ---, name, description, ---."),
    Code("frontmatter_flow", "error", _PAGE, "The frontmatter holds a map or list in braces or brackets, which strict readers refuse.", "Write it out, one entry in a line."),
    Code("name_is_not_folder", "error", _PAGE, "The name differs from the name of the skill's folder.", "Rename one of the two."),
    Code("bad_description", "error", _PAGE, "The description is empty, longer than 1,024 characters, or more than one line.", "Say in one line what the skill does and when to use it."),
    Code("description_not_one_line", "error", _PAGE, "The description is not written in one line of the file, so readers that go line by line lose it.", "Write it as one quoted line."),
    Code("bad_license", "error", _PAGE, "The licence is not text.", "Name it, for example Apache-2.0."),
    Code("bad_compatibility", "error", _PAGE, "compatibility is not text of 1 to 500 characters.", "Shorten it."),
    Code("bad_allowed_tools", "error", _PAGE, "allowed-tools is not one text with spaces between the tools.", "Write it as one quoted text."),
    Code("bad_metadata", "error", _PAGE, "metadata is not a map of text to text (but for the maps that Hermes and OpenClaw read, under their names).", "Quote the values."),
    Code("body_too_long", "warning", _PAGE, "The body has 10,000 characters or more.", "Move detail to references/."),
    Code("section_missing", "warning", _PAGE, "A section of When to use, Procedure, Pitfalls, Verification is missing.", "Add the heading and say something under it."),
    Code("nested_key_line", "warning", _PAGE, "A line begins with name:, description: or version: without being the skill's own; a publisher that reads line by line takes it for that.", "Quote the key, or word the line differently."),
    Code("name_differs", "error", _TOGETHER, "SKILL.md or plugin.json names the skill otherwise than skill.yaml.", "Use one name."),
    Code("description_differs", "warning", _TOGETHER, "The description of SKILL.md does not begin with that of skill.yaml.", "Begin with the same sentence; say when to use it after it."),
    Code("license_differs", "warning", _TOGETHER, "SKILL.md, pyproject.toml or plugin.json names another licence than skill.yaml.", "Use one licence."),
    Code("version_missing", "warning", _TOGETHER, "SKILL.md has no metadata.version beside a skill.yaml.", "Add it, quoted."),
    Code("version_differs", "error", _TOGETHER, "skill.yaml, SKILL.md, pyproject.toml and plugin.json name different versions.", "Use one version."),
    Code("version_unknown", "warning", _TOGETHER, "pyproject.toml takes the version from a place that cannot be read without running code.", "Write it out, or name a file that assigns __version__."),
    Code("entry_point_missing", "warning", _TOGETHER, "pyproject.toml has no entry point in the group netclaw.skills for the plugin of skill.yaml.", "Add it, or the installed skill is not found."),
)  # fmt: skip

CODES: Mapping[str, Code] = MappingProxyType({row.code: row for row in _ROWS})

__all__ = ["CODES", "Code", "Severity"]
