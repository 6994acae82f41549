"""Every rule of the check as one row of data: what it means, who holds it and how gravely, an example, the remedy.

The codes are stable. The pages of the rules, ``--list-rules`` and ``--explain`` are made from this table. An error is what a host
refuses or loses, a warning what it takes but handles worse, advice what only some think better (shown with ``--advice``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from netclaw_opencode.skill.check.hosts import CONTRACT

Severity = Literal["error", "warning", "advice"]
SEVERITIES: tuple[Severity, ...] = ("advice", "warning", "error")
"""From the lightest to the gravest."""


class Ground(NamedTuple):
    """How gravely a host takes a rule, and where it says so (within the document of its row in ``hosts``)."""

    severity: Severity
    source: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row; ``area`` is the heading under which the pages show it, ``fixable`` whether ``--fix`` can fix it."""

    code: str
    area: str
    summary: str
    remedy: str
    example: str
    grounds: Mapping[str, Ground]
    fixable: bool = False


def _error(source: str) -> Ground:
    return Ground("error", source)


def _warning(source: str) -> Ground:
    return Ground("warning", source)


def _advice(source: str) -> Ground:
    return Ground("advice", source)


def _everywhere(source: str) -> dict[str, Ground]:
    """Return what no host can use: an error by whichever set of rules."""
    return dict.fromkeys(("spec", "claude", "hermes", "netclaw", "openclaw", CONTRACT), _error(source))


_FIXABLE = {"bad_skill_name", "byte_order_mark", "carriage_return", "name_is_not_folder", "value_not_text", "syntax"}
_RULES: dict[str, Rule] = {}


def _add(area: str, code: str, summary: str, remedy: str, example: str, /, **grounds: Ground) -> None:
    _RULES[code] = Rule(code, area, summary, remedy, example, MappingProxyType(grounds), code in _FIXABLE)


# fmt: off
_FILES, _PAGE, _LINKS, _TEXT, _MANY, _USE = "Files", "SKILL.md", "Links and mentions", "Wording", "Several skills", "Using the check"
_MANIFEST, _SCHEMAS, _HANDLERS, _TOGETHER = "skill.yaml", "Schemas and examples", "Handlers", "What must agree"

_FM, _READER, _FEED = "Frontmatter", "SkillScanner.cs", "the line-by-line reader of netclaw-dev/skill-server"
_OURS, _PHRASES, _UPLOAD = "our contract", "RegexPromptInjectionDetector.cs", "Skill structure, field requirements"
_PORTABLE = "what a skill that is copied alone loses"
_BROKEN = "no host can read it"

_add(_FILES, "unreadable", "A file or folder cannot be read: it is no regular file or folder, or not allowed to be read.", "Put a plain file there, or give read permission.", "references/ with mode 000", **_everywhere(_BROKEN))
_add(
    _FILES,
    "too_large",
    "A text file is too large to be read by a host or by this check.",
    "Split it; agents read a file as a whole.",
    "a text of 20 MB",
    spec=_warning("Progressive disclosure: files are loaded whole"),
    hermes=_advice("MAX_SINGLE_FILE_KB 256"),
    openclaw=_warning("a managed bundle: 1 MiB per file"),
    contract=_error(_OURS),
)
_add(_FILES, "not_utf8", "A text file is not UTF-8.", "Save it as UTF-8.", "SKILL.md saved as Latin-1", **_everywhere("hosts read UTF-8"))
_add(_FILES, "byte_order_mark", "A page or manifest begins with a byte order mark.", "Save it as UTF-8 without BOM.", "EF BB BF before ---", spec=_error("skills-ref: SKILL.md must start with ---"), openclaw=_warning("frontmatter must be the first thing of the file"), contract=_error(_OURS))
_add(_FILES, "carriage_return", "A page has Windows line ends.", "Save it with LF line ends.", "lines that end in CR LF", spec=_advice("scripts and diffs want LF"), contract=_warning(_OURS))
_add(_FILES, "symlink", "A file of the skill is a symbolic link to another file of the skill.", "Put the file itself there.", "CLAUDE.md -> AGENTS.md", netclaw=_error(f"{_READER}: SymlinkNotAllowed"), contract=_error(_OURS))
_add(
    _FILES,
    "symlink_outside",
    "A file of the skill is a symbolic link that leads out of it.",
    "Put the file itself there.",
    "references -> ../../docs",
    spec=_warning(_PORTABLE),
    hermes=_error("symlink_escape"),
    netclaw=_error(f"{_READER}: SymlinkNotAllowed"),
    openclaw=_warning("Path containment"),
    contract=_error(_OURS),
)
_add(_FILES, "symlink_broken", "A symbolic link leads nowhere.", "Remove it, or put the file itself there.", "notes.md -> gone.md", **_everywhere("missing files"))
_add(_FILES, "special_file", "A pipe, socket or device lies in the skill.", "Remove it.", "a named pipe", **_everywhere(_BROKEN))
_add(_FILES, "too_many_files", "The skill holds more files than a host takes.", "Leave out what no text of the skill names.", "1,200 files in assets/", hermes=_advice("MAX_FILE_COUNT 50"), openclaw=_warning("a managed bundle: 256 files"), contract=_error(_OURS))
_add(_FILES, "case_clash", "Two names differ in case alone; some systems see one.", "Rename one of them.", "Notes.md and notes.md", spec=_warning("macOS and Windows keep one of the two"), contract=_error(_OURS))
_add(_FILES, "python_in_skill", "The skill holds Python source, which not every host can run.", "Ship a console command, and name it in SKILL.md.", "a Python script", netclaw=_advice("text-only skills: scripts are resources"))
_add(_FILES, "orphan_file", "No text of the skill names this file, so no agent will look into it.", "Name it in SKILL.md, or leave it out.", "a page in references/ that nothing names", spec=_advice("Progressive disclosure: resources are loaded when named"))
_add(_FILES, "took_too_long", "The check did not finish in its time; a regular expression of a schema, most likely.", "Simplify the pattern.", '"pattern": "^(a+)+$"', **_everywhere("the check ends after a minute"))

_add(
    _PAGE,
    "frontmatter_missing",
    "SKILL.md does not begin with frontmatter between two lines of ---.",
    "Begin with ---, name, description, ---.",
    "# My skill in the first line",
    spec=_error("SKILL.md format"),
    claude=_warning("all fields are optional, but Claude then guesses"),
    hermes=_error("SKILL.md format"),
    netclaw=_error(f"{_READER}: MissingFrontmatter"),
    openclaw=_error("SKILL.md format"),
    contract=_error(_OURS),
)
_add(_PAGE, "frontmatter_dashes", "Three dashes stand inside the frontmatter, where the specification's validator takes them for its end.", "Write another dash.", "description: before --- after", spec=_error("skills-ref splits at the first two ---"), contract=_error(_OURS))
_add(_PAGE, "frontmatter_flow", "The frontmatter holds a map or list in braces or brackets, which the specification's validator refuses.", "Write it out, one entry in a line.", "tags: [a, b]", spec=_error("skills-ref: FlowMappingDisallowed"), contract=_error(_OURS))
_add(_PAGE, "frontmatter_indent", "Maps of the frontmatter on one level are indented differently, which the specification's validator refuses.", "Indent them by the same number of blanks.", "one map by 2 blanks, the next by 4", spec=_error("skills-ref: InconsistentIndentationDisallowed"))
_add(
    _PAGE,
    "name_is_not_folder",
    "The name differs from the name of the skill's folder.",
    "Rename one of the two.",
    "pdf-tools/SKILL.md with name: pdf",
    spec=_error("name field: must match the parent directory name"),
    netclaw=_error(f"{_READER}: FrontmatterNameMismatch"),
    openclaw=_warning("node-hosted skills need the two equal"),
    contract=_error(_OURS),
)
_add(
    _PAGE,
    "bad_description",
    "The description is empty, no text, or too long.",
    "Say what the skill does and when to use it, in at most 1,024 characters.",
    "description: (nothing)",
    spec=_error("description field: 1-1024 characters"),
    claude=_warning("description: recommended"),
    hermes=_error(_FM),
    netclaw=_error(f"{_READER}: MissingDescription"),
    openclaw=_error("every skill needs a description"),
    contract=_error(_OURS),
)
_add(_PAGE, "description_not_one_line", "The description is not written in one line of the file, so readers that go line by line lose it.", "Write it as one quoted line.", "description: >-", netclaw=_advice(_FEED), contract=_error(_OURS))
_add(_PAGE, "description_has_tags", "The description holds an XML tag, which Claude's upload refuses.", "Name the thing without angle brackets.", "description: Makes <svg> files.", claude=_warning(_UPLOAD))
_add(_PAGE, "name_reserved", "The name holds a word that Claude's upload reserves.", "Leave out claude and anthropic.", "name: claude-helper", claude=_warning(_UPLOAD))
_add(_PAGE, "value_not_text", "An unquoted value is a number, a date or true, false or null to YAML readers, not text.", "Quote it.", "description: 12", spec=_warning("Frontmatter: the fields are strings"), hermes=_warning(_FM), netclaw=_warning(_READER), openclaw=_warning("SKILL.md format"), contract=_error(_OURS))
_add(_PAGE, "bad_license", "The licence is not text.", "Name it, for example Apache-2.0.", "license: with a list below", spec=_warning("license field"), contract=_error(_OURS))
_add(_PAGE, "bad_compatibility", "compatibility is not text of 1 to 500 characters.", "Shorten it.", "compatibility of 600 characters", spec=_error("compatibility field: 1-500 characters"), contract=_error(_OURS))
_add(_PAGE, "bad_allowed_tools", "allowed-tools is neither text with spaces between the tools nor a list of texts.", "Write it as one quoted text.", "allowed-tools: {Read: true}", spec=_error("allowed-tools field"), claude=_warning("allowed-tools"), contract=_error(_OURS))
_add(
    _PAGE,
    "allowed_tools_list",
    "allowed-tools is a list, which only newer readers of the specification take.",
    "Write it as one text with spaces between the tools.",
    "allowed-tools: with - Read below",
    spec=_advice("allowed-tools field: a space-separated string in some versions"),
    netclaw=_warning(f"{_READER}: AllowedTools is a string"),
    contract=_error(_OURS),
)
_add(
    _PAGE,
    "bad_metadata",
    "metadata is not a map.",
    "Write it as key: value lines below metadata:.",
    "metadata: none",
    spec=_error("metadata field: a map from string keys to string values"),
    hermes=_error("metadata.hermes"),
    netclaw=_error(f"{_READER}: Metadata"),
    openclaw=_warning("metadata.openclaw"),
    contract=_error(_OURS),
)
_add(_PAGE, "metadata_not_text", "A value under metadata is not text (but for the maps that Hermes and OpenClaw read, under their names).", "Quote the value.", "metadata: with version: 1.0 below", spec=_advice("metadata field: string values"), contract=_error(_OURS))
_add(_PAGE, "body_too_long", "The body is longer than the specification recommends: 500 lines (in a package with a skill.yaml: 10,000 characters).", "Move detail to references/.", "a page of 800 lines", spec=_warning("Progressive disclosure: under 500 lines"), contract=_warning(_OURS))
_add(
    _PAGE,
    "body_empty",
    "There is no text below the frontmatter.",
    "Write what the agent shall do.",
    "nothing behind the second ---",
    spec=_warning("Body content: the skill instructions"),
    claude=_warning("SKILL.md: instructions"),
    hermes=_warning("SKILL.md format"),
    openclaw=_warning("SKILL.md format"),
    contract=_warning(_OURS),
)
_add(_PAGE, "section_missing", "A section of When to use, Procedure, Pitfalls, Verification is missing.", "Add the heading and say something under it.", "no ## Pitfalls", hermes=_advice("SKILL.md format"), contract=_warning(_OURS))
_add(_PAGE, "nested_key_line", "A line begins with name:, description: or version: without being the skill's own; a publisher that reads line by line takes it for that.", "Quote the key, or word the line differently.", "name: x in the body", netclaw=_advice(_FEED), contract=_warning(_OURS))

_add(_LINKS, "file_missing", "A link leads to a file that is not there.", "Write the file or correct the path.", "a link to more.md without more.md", **_everywhere("missing files"))
_add(
    _LINKS,
    "mention_missing",
    "A file is named in code or in a command, in a folder of the skill, and is not there.",
    "Write the file or correct the path.",
    "a script named in code, without that file",
    spec=_warning("File references"),
    claude=_warning("Add supporting files"),
    hermes=_warning("Referencing bundled scripts"),
    openclaw=_warning("{baseDir}"),
    contract=_error(_OURS),
)
_add(_LINKS, "anchor_missing", "A link leads to a heading that the page has not.", "Correct the part behind #.", "a link to #below without that heading", spec=_warning("File references"))
_add(_LINKS, "path_outside", "A link leads out of the skill, to no file of the plugin or repository around it.", "Keep the file in the skill, or write a whole address.", "a link to /srv/more.md", spec=_warning("File references: relative paths from the skill root"), contract=_error(_OURS))
_add(_LINKS, "link_leaves_skill", "A link leads to a file of the plugin or repository around the skill, which a copy of the skill alone loses.", "Keep a copy in the skill if it shall travel alone.", "a link to ../../CONNECTORS.md", spec=_advice(_PORTABLE), contract=_error(_OURS))

_add(
    _TEXT,
    "invisible_character",
    "A text holds characters that nobody sees.",
    "Remove the character.",
    "a zero width space in a word",
    spec=_warning("what a reader cannot review"),
    hermes=_warning("invisible_unicode: blocks a community install"),
    netclaw=_warning(f"{_PHRASES}: InvisibleUnicode"),
    contract=_error(_OURS),
)
_add(_TEXT, "scanner_phrase", "A line matches a pattern of the host's scanner, which then refuses the skill.", "Word the line differently.", "Change the permission first.", hermes=_error("THREAT_PATTERNS, critical: dangerous"), netclaw=_error(f"{_PHRASES}: High is rejected"), contract=_error(_OURS))
_add(_TEXT, "scanner_doubt", "A line matches a pattern of the host's scanner, which then asks or warns.", "Word the line differently, or expect the question.", "You are now a reviewer.", hermes=_warning("THREAT_PATTERNS, high: caution"), netclaw=_warning(f"{_PHRASES}: Medium is a warning"), contract=_error(_OURS))

_add(
    _MANY,
    "duplicate_skill",
    "Two skills below one root have one name; a host sees one of them, or none.",
    "Rename one of them.",
    "skills/a/pdf and skills/b/pdf",
    spec=_warning("name: identifies the skill"),
    claude=_warning("Where skills live: one name, one skill"),
    netclaw=_error(f"{_READER}: DuplicateName"),
    openclaw=_warning("Loading order: the highest source wins"),
)
_add(_USE, "path_missing", "A path that was to be checked is not there.", "Correct the path.", "skill validate no/such/folder", **_everywhere("nothing was checked there"))
_add(_USE, "no_skill", "A path that was to be checked holds no skill.", "Name a folder with a SKILL.md in or below it.", "skill validate src", **_everywhere("nothing was checked there"))
_add(_USE, "unknown_exception", "A comment for this check names a code that it does not know, or is never closed or opened.", "Use a code of --list-rules.", "<!-- netclaw-skill: allow no_such_code -->", **dict.fromkeys(("spec", "claude", "hermes", "netclaw", "openclaw", CONTRACT), _warning("docs/authors.md")))

_add(_MANIFEST, "syntax", "A file is not YAML, JSON, TOML or Python.", "Correct the syntax at that line.", "description: Reads: writes", **_everywhere(_BROKEN))
_add(_MANIFEST, "duplicate_key", "A key stands twice in one map.", "Keep one of them.", "name: a, and below name: b", **_everywhere("YAML 1.2: keys are unique"))
_add(_MANIFEST, "not_plain", "YAML holds an anchor, alias, tag, merge key or a second document.", "Write the values out.", "license: &mit MIT", spec=_error("skills-ref: AnchorTokenDisallowed, TagTokenDisallowed"), contract=_error(_OURS))
_add(_MANIFEST, "too_deep", "A file is nested too deeply.", "Make it flatter.", "61 levels", **_everywhere(_BROKEN))
_add(
    _MANIFEST,
    "missing_key",
    "A required key is missing.",
    "Add it.",
    "no description:",
    spec=_error("Frontmatter: required fields"),
    claude=_warning("description: recommended"),
    hermes=_error("SKILL.md format"),
    netclaw=_error(f"{_READER}: MissingDescription"),
    openclaw=_error("every skill needs a name and a description"),
    contract=_error(_OURS),
)
_add(
    _MANIFEST,
    "unknown_key",
    "A key is not known there.",
    "Correct or remove it.",
    "version: 1.0.0 at the top of SKILL.md",
    spec=_error("Frontmatter: the fields; skills-ref refuses others"),
    claude=_advice("Frontmatter reference"),
    hermes=_advice("SKILL.md format"),
    netclaw=_advice(f"{_READER}: SkillFrontmatter"),
    openclaw=_advice("Optional frontmatter keys"),
    contract=_error(_OURS),
)
_add(
    _MANIFEST, "misspelt_key", "A key looks like a misspelling of one that the host reads.", "Write it as the host does.", "allowed_tools: Read", spec=_error("Frontmatter: the fields; skills-ref refuses others"), contract=_error(_OURS), claude=_warning("Frontmatter reference"), hermes=_warning("SKILL.md format"), netclaw=_warning(f"{_READER}: SkillFrontmatter"), openclaw=_warning("Optional frontmatter keys")
)
_add(_MANIFEST, "bad_skill_name", "The skill's name is not small letters and digits joined by single hyphens, at most 64.", "Use a name such as my-skill.", "name: My_Skill", spec=_error("name field"), claude=_warning("name: lowercase letters, numbers, hyphens"), contract=_error(_OURS))
for _row in (
    (_MANIFEST, "bad_value", "error", "A value of skill.yaml has not the form that its schema asks for.", "Follow schemas/skill.schema.json.", "tier: root"),
    (_MANIFEST, "bad_version", "error", "The version is not major.minor.patch, or is not quoted.", 'Write it as "1.0.0".', "version: 1.0"),
    (_MANIFEST, "bad_action_name", "error", "An action's name is not small letters and digits joined by single underscores, at most 64.", "Use a name such as add_note.", "name: addNote"),
    (_MANIFEST, "bad_variable_name", "error", "An environment variable's name is not capital letters, digits and underscores.", "Use a name such as MY_SKILL_URL.", "name: my_url"),
    (_MANIFEST, "reserved_variable", "error", "An environment variable begins with NETCLAW_, which a host keeps for its own configuration.", "Use a prefix of your own.", "name: NETCLAW_URL"),
    (_MANIFEST, "duplicate_name", "error", "Two actions or two variables have one name.", "Rename or remove one of them.", "two actions called keep"),
    (_MANIFEST, "secret_default", "error", "A secret has a default.", "Remove the default.", "secret: true and default: x"),
    (_MANIFEST, "unknown_error_code", "error", "An error code is not one of docs/errors.md.", "Use a code of that table.", "errors: [sesion_busy]"),
    (_MANIFEST, "repeated_error_code", "error", "An action lists one of common_errors again.", "Remove it from the action.", "invalid_input in both"),
    (_MANIFEST, "tool_name_too_long", "warning", "With the prefix that MCP hosts add, an action's name is longer than the 64 characters of model providers.", "Shorten the name of the action or of the skill.", "an action of 60 characters"),
    (_SCHEMAS, "schema_not_object", "error", "A schema does not describe an object.", 'Begin with "type": "object".', '{"type": "string"}'),
    (_SCHEMAS, "schema_invalid", "error", "A schema is no valid JSON Schema of 2020-12, or refers to something outside itself.", "Correct it; nothing is fetched.", '{"type": "text"}'),
    (_SCHEMAS, "schema_open", "error", "An object does not close itself, or a list does not say what it holds.", 'Add "additionalProperties": false, or items.', '{"type": "object"}'),
    (_SCHEMAS, "schema_not_plain", "error", "An input schema uses $ref, oneOf, a list of types or the like, which weak models and some hosts cannot read.", "Write the schema out; say conditions in the description.", '"type": ["string", "null"]'),
    (_SCHEMAS, "reserved_parameter", "error", "A parameter begins with timeout, background or rationale, which hosts take for themselves.", "Rename it, for example wait_seconds.", "timeout_seconds"),
    (_SCHEMAS, "required_unknown", "error", "A required field is not among the properties.", "Describe it, or do not require it.", '"required": ["txt"]'),
    (_SCHEMAS, "no_description", "error", "A field has no description.", "Say what it is, with the unit.", '"text": {"type": "string"}'),
    (_SCHEMAS, "description_too_long", "error", "A field's description is longer than 2,048 characters.", "Shorten it.", "three pages of description"),
    (_SCHEMAS, "schema_value_mismatch", "error", "A default or an example in a schema breaks that schema.", "Correct the value or the schema.", '"type": "integer", "default": "5"'),
    (_SCHEMAS, "example_mismatch", "error", "An example of an action breaks the action's schema.", "Correct the example or the schema.", "an example without the required text"),
    (_SCHEMAS, "unused_schema", "error", "No action names this schema file.", "Name it or remove it.", "the schema of a renamed action"),
    (_SCHEMAS, "redacted_name", "warning", "Hosts black out text under names that begin with token, secret, password, api_key or authorization.", "Rename it where the text is needed.", "token_count as text"),
    (_HANDLERS, "handler_missing", "error", "The module or function of a handler is not there.", "Name an async function as module:function.", "handler: my_skill:kep"),
    (_HANDLERS, "handler_not_async", "error", "A handler is not an async function of (arguments, context).", "Write async def name(arguments, context).", "def keep(arguments):"),
    (_HANDLERS, "handler_elsewhere", "warning", "A handler's module is not in this folder, so it could not be looked for.", "Keep it in the package, or check with --import where it is installed.", "handler: other_package:keep"),
    (_HANDLERS, "plugin_missing", "error", "The plugin module is not there.", "Correct the module's name.", "plugin: my_skil.plugin"),
    (_HANDLERS, "import_failed", "error", "With --import: a module cannot be imported.", "Read the reason; install what it needs.", "a module that raises"),
    (_TOGETHER, "name_differs", "error", "SKILL.md or plugin.json names the skill otherwise than skill.yaml.", "Use one name.", "my-skill and myskill"),
    (_TOGETHER, "description_differs", "warning", "The description of SKILL.md does not begin with that of skill.yaml.", "Begin with the same sentence; say when to use it after it.", "Keeps notes. and Writes notes."),
    (_TOGETHER, "license_differs", "warning", "SKILL.md, pyproject.toml or plugin.json names another licence than skill.yaml.", "Use one licence.", "MIT and Apache-2.0"),
    (_TOGETHER, "version_missing", "warning", "SKILL.md has no metadata.version beside a skill.yaml.", "Add it, quoted.", "no metadata:"),
    (_TOGETHER, "version_differs", "error", "skill.yaml, SKILL.md, pyproject.toml and plugin.json name different versions.", "Use one version.", "1.0.0 and 1.0.1"),
    (_TOGETHER, "version_unknown", "warning", "pyproject.toml takes the version from a place that cannot be read without running code.", "Write it out, or name a file that assigns __version__.", 'dynamic = ["version"] with a plugin'),
    (_TOGETHER, "entry_point_missing", "warning", "pyproject.toml has no entry point in the group netclaw.skills for the plugin of skill.yaml.", "Add it, or the installed skill is not found.", "no [project.entry-points]"),
):
    _add(_row[0], _row[1], _row[3], _row[4], _row[5], contract=_error(_OURS) if _row[2] == "error" else _warning(_OURS))

RULES: Mapping[str, Rule] = MappingProxyType(_RULES)

__all__ = ["RULES", "SEVERITIES", "Ground", "Rule", "Severity"]
