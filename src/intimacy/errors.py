"""The one error tree of the library.

    IntimacyError                      everything below
    ├── SourceError                    a file or stream could not be read
    │   ├── UnknownFormatError         no importer recognises it, or more than one
    │   ├── UnsupportedExportError     recognised, but it cannot carry what a thread needs
    │   ├── RecordError                one record of it is malformed (file, line, field)
    │   └── CreatorUnknownError        nobody in it can be told to be the creator
    ├── ThreadError                    an object given as a thread is not one
    │   └── RoleError                  a turn has a role that does not exist
    ├── BundleError                    a model folder is missing, incomplete or damaged
    ├── ConfigError                    a configuration or an argument is wrong
    ├── CorpusError                    a labelled corpus cannot serve the purpose asked
    └── MissingExtraError              an optional dependency is not installed

Messages say what was received, what was expected and what to do. They never quote the text
of a comment: comments are personal data and messages end in logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class IntimacyError(Exception):
    """Base of every error the library raises on purpose."""

    code = "intimacy"
    """Stable identifier of the kind of error; the command line and services report it."""


class SourceError(IntimacyError):
    """A file or stream could not be read."""

    code = "source"


class UnknownFormatError(SourceError):
    """No importer recognises the file, or more than one does."""

    code = "source.format"


class UnsupportedExportError(SourceError):
    """The format is recognised, but it cannot carry what a thread needs."""

    code = "source.unsupported"


class RecordError(SourceError):
    """One record of a file is malformed."""

    code = "source.record"

    def __init__(
        self, message: str, *, path: Path | str | None = None, line: int | None = None
    ) -> None:
        where = "" if path is None else f"{path}{'' if line is None else f':{line}'}: "
        super().__init__(f"{where}{message}")
        self.path = path
        self.line = line


class CreatorUnknownError(SourceError):
    """No account in the export can be told to be the creator."""

    code = "source.creator"


class ThreadError(IntimacyError, ValueError):
    """An object given as a thread is not one."""

    code = "thread"


class RoleError(ThreadError):
    """A turn has a role that does not exist."""

    code = "thread.role"


class BundleError(IntimacyError):
    """A model folder is missing, incomplete, damaged or of another format."""

    code = "bundle"


class ConfigError(IntimacyError, ValueError):
    """A configuration or an argument has an unknown name or an impossible value."""

    code = "config"


class CorpusError(IntimacyError, ValueError):
    """A labelled corpus cannot serve the purpose asked."""

    code = "corpus"


class MissingExtraError(IntimacyError, ImportError):
    """An optional dependency is not installed."""

    code = "extra"


class IntimacyWarning(UserWarning):
    """Category of every warning of the library, so that it can be filtered."""


def shown(value: Any) -> str:
    """A value as a message may show it: a short word as it is, else its kind and size.

    Where a column is misplaced the value is a comment, and messages quote no comment.
    """
    if isinstance(value, str):
        short = len(value) <= _LONGEST_SHOWN and not any(c.isspace() for c in value)
        return repr(value) if short else f"a text of {len(value)} characters"
    if value is None or isinstance(value, (bool, int, float)):
        text = repr(value)
        return text if len(text) <= _LONGEST_SHOWN else f"a number of {len(text)} digits"
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        listed = ", ".join(map(shown, value[:_MOST_SHOWN]))
        return f"[{listed}{', …' if len(value) > _MOST_SHOWN else ''}]"
    return type(value).__name__


def require_many(
    given: Any, expected: str, *, hint: str = "", error: type[IntimacyError] = ThreadError
) -> None:
    """Refuse one thing, a path or a table where a list of things is expected.

    Args:
        given: What a caller passed.
        expected: What is wanted, in words: ``"a list of threads"``.
        hint: What to do.
        error: Kind of error.
    """
    one = isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable)
    if one or hasattr(given, "columns"):
        kind = "None" if given is None else f"one {type(given).__name__}"
        raise error(f"{kind} received; expected {expected}{hint and f'. {hint}'}")


_LONGEST_SHOWN = 30
_MOST_SHOWN = 5


def require(module: str, *, extra: str) -> Any:
    """Import an optional dependency, or say which command installs it.

    Raises:
        MissingExtraError: When ``module`` is not installed. A module that is installed but
            broken raises its own error, so that the real cause is seen.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{module} is not installed; run: pip install 'intimacy[{extra}]'"
        ) from exc
