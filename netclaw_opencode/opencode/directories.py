"""Where the agent may work.

Owns the check of a directory (absolute, there, a folder) and the roots: a coding agent writes files and runs commands, so
the system's own folders and the bare home directory are no place for it unless ``roots`` say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.opencode import addresses
from netclaw_opencode.opencode.trust import Trust
from netclaw_opencode.settings import Settings

_SYSTEM = tuple(
    Path(text)
    for text in (
        *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr"),
        *("/Library", "/System", "/private/etc"),
    )
)
"""No session works in these or below them."""
_BARE = (Path("/"), Path("/home"), Path("/Users"), Path("/root"))
"""No session works in these themselves; below them is fine."""
_EXAMPLE = "/home/me/project"


@dataclass(frozen=True, slots=True)
class Places:
    """The folders that sessions may be given: those in ``roots`` and below; without roots, whatever is not the system's."""

    roots: tuple[Path, ...] = ()
    home: Path | None = None
    trust: Trust | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Places:
        """Return the places that these settings allow."""
        address = addresses.locate(settings)
        return cls(settings.roots, settings.home, Trust.from_settings(settings, only_plugins=address.without_project_code))

    def require(self, directory: str, *, given: str | None = None) -> None:
        """Refuse a directory in which no work may begin: outside, or with untrusted code.

        Args:
            directory: where links lead is what counts.
            given: what the caller wrote, where ``directory`` is what it led to. It is not followed again: a link that is
                changed in between changes nothing.

        Raises:
            InvalidInput: it is no place for an agent.
            Refused: ``untrusted_project``.
        """
        real = Path(directory).resolve() if given is None else Path(directory)
        self.require_inside(given or directory, real)
        if self.trust is not None:
            self.trust.require(str(real))

    def require_inside(self, directory: str, real: Path) -> None:
        """Refuse a directory that really is ``real`` and stands outside; raises ``InvalidInput``."""
        if self.roots:
            if any(real.is_relative_to(root.resolve()) for root in self.roots):
                return
            allowed = ", ".join(map(str, self.roots))
            raise _refusal(directory, real, f"is outside the allowed roots ({allowed})")
        if real in _BARE or real == _real(self.home):
            raise _refusal(directory, real, "is no project but the whole home or file system")
        if any(real.is_relative_to(item) for item in _SYSTEM):
            raise _refusal(directory, real, "belongs to the system")


def _real(home: Path | None) -> Path | None:
    return home.resolve() if home is not None else None


def _refusal(directory: str, real: Path, why: str) -> InvalidInput:
    shown = repr(directory[:200]) + (f" (really {str(real)[:200]!r})" if str(real) != directory else "")
    return InvalidInput(
        "invalid_input",
        f"directory {shown} {why}; give a project's folder, for example {_EXAMPLE}",
        next="use a folder of the project, or name the allowed ones in OPENCODE_DRIVER_ROOTS",
        details={"directory": directory[:4096], "real": str(real)},
    )


def check_directory(path: str) -> str:
    """Return an absolute, existing folder. The server would accept anything (F21).

    Raises:
        InvalidInput: Naming the path and what is wrong with it.
    """
    example = f"; for example {_EXAMPLE}"
    if not path or any(ord(char) < 32 or ord(char) == 127 for char in path):
        raise InvalidInput("invalid_input", f"directory {path[:80]!r} is empty or holds control characters{example}")
    if not Path(path).is_absolute():
        raise InvalidInput(
            "invalid_input", f"directory {path[:200]!r} must be absolute; it would become {str(Path(path).resolve())!r}{example}"
        )
    try:
        if not Path(path).exists():
            raise InvalidInput("invalid_input", f"directory {path[:200]!r} does not exist{example}")
        if not Path(path).is_dir():
            raise InvalidInput("invalid_input", f"directory {path[:200]!r} is not a folder{example}")
        # OpenCode resolves links itself and would report another path than the one asked for.
        return str(Path(path).resolve())
    except OSError as error:
        raise InvalidInput("invalid_input", f"directory {path[:200]!r} cannot be used ({error.strerror}){example}") from error


__all__ = ["Places", "check_directory"]
