"""Standing rules in the person's own configuration: read, added, taken out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from ml_intern.core.approvals.policy import RuleKind
from ml_intern.core.config import ConfigError, user_config_file
from ml_intern.core.places import Places
from ml_intern.core.user_config import read_user_setting, save_user_setting


class RuleFile:
    """The lists under `approvals` in the user's configuration. Every method blocks.

    Args:
        places: Where the usual file is.
        file: The file in use, where it is not the usual one.
        redact: Takes secrets out of a text; what holds one is not written.
    """

    def __init__(self, places: Places, file: Path | None = None, redact: Callable[[str], str] = str) -> None:
        self._places = places
        self._redact = redact
        self.file = file or user_config_file(places, {})[0]
        self._writing = Lock()  # a change reads the list first, and must not miss another one

    def read(self, kind: RuleKind) -> tuple[str, ...]:
        """The rules of a kind as they stand in the file; none where it has none.

        Raises:
            ConfigError: The file cannot be read.
        """
        rules = read_user_setting(self.file, f"approvals.{kind}")
        return tuple(rule for rule in rules if isinstance(rule, str)) if isinstance(rules, list) else ()

    def add(self, kind: RuleKind, rule: str) -> None:
        """Puts a rule at the end, unless it is there.

        Raises:
            ConfigError: It holds a secret, or the file cannot be read or written.
        """
        if self._redact(rule) != rule:
            raise ConfigError("it holds what looks like a secret, and is not written down.")
        with self._writing:
            rules = self.read(kind)
            if rule not in rules:
                self._write(kind, (*rules, rule))

    def remove(self, kind: RuleKind, rule: str) -> None:
        """Takes a rule out.

        Raises:
            ConfigError: It is not there, or the file cannot be read or written.
        """
        with self._writing:
            rules = self.read(kind)
            if rule not in rules:
                raise ConfigError(f"{rule} does not stand under approvals.{kind} in {self.file}; nothing was changed.")
            self._write(kind, tuple(other for other in rules if other != rule))

    def _write(self, kind: RuleKind, rules: tuple[str, ...]) -> None:
        save_user_setting(self._places, f"approvals.{kind}", list(rules), file=self.file)
