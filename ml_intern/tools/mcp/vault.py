"""Keeps what people sign in with: in the system's keyring where there is one that works, else in a file of theirs."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Protocol

from ml_intern.core.small_file import write_small_file

log = logging.getLogger(__name__)

SERVICE = "ml-intern"
FILE = "mcp-sign-ins.json"


class Ring(Protocol):
    """A keyring: what is used of `keyring`'s backends."""

    def get_password(self, service: str, username: str) -> str | None:
        """The secret of a name, or None."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keeps a secret."""

    def delete_password(self, service: str, username: str) -> None:
        """Forgets a secret."""


def system_ring() -> Ring | None:
    """The keyring of this system, or None where there is none that keeps anything. Takes a while; blocks."""
    try:
        import keyring

        ring = keyring.get_keyring()
        return ring if ring.priority > 0 else None  # those that only say no, or forget at once, rank lower
    except Exception:  # the border of foreign code: backends may raise whatever their system raises
        log.debug("there is no keyring", exc_info=True)
        return None


class Vault:
    """Secrets by name. All methods block; call them in a thread.

    Args:
        directory: The user's configuration directory; the file is made there when it is needed.
        find_ring: Finds the keyring at first use; one that finds None uses the file alone.
    """

    def __init__(self, directory: Path, find_ring: Callable[[], Ring | None] = system_ring) -> None:
        self._file = directory / FILE
        self._find_ring = find_ring

    @cached_property
    def _ring(self) -> Ring | None:
        return self._find_ring()

    def read(self, name: str) -> str:
        """The secret of a name; empty when there is none."""
        if self._ring is not None:
            try:
                if secret := self._ring.get_password(SERVICE, name):
                    return secret
            except Exception:  # the border of foreign code: a locked keyring is as good as none
                log.warning("the keyring cannot be read", exc_info=True)
        return self._kept().get(name, "")

    def write(self, name: str, secret: str) -> str:
        """Keeps a secret; gives where, in words.

        Raises:
            OSError: It cannot be kept anywhere.
        """
        if self._ring is not None:
            try:
                self._ring.set_password(SERVICE, name, secret)
                if self._ring.get_password(SERVICE, name) == secret:
                    self._write(self._without(name))
                    return "in the system's keyring"
            except Exception:  # the border of foreign code: too long, locked, refused by the person
                log.warning("the keyring does not keep a sign-in", exc_info=True)
        self._write({**self._kept(), name: secret})
        return f"in {self._file}, readable by you alone, since no keyring works here"

    def delete(self, name: str) -> None:
        """Forgets a secret, wherever it is kept.

        Raises:
            OSError: The file cannot be written.
        """
        if self._ring is not None:
            with contextlib.suppress(Exception):  # most raise when there is nothing to delete
                self._ring.delete_password(SERVICE, name)
        self._write(self._without(name))

    def _without(self, name: str) -> dict[str, str]:
        return {other: secret for other, secret in self._kept().items() if other != name}

    def _kept(self) -> dict[str, str]:
        try:
            kept = json.loads(self._file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s is unusable: %s", self._file, error)
            return {}
        return {str(name): str(secret) for name, secret in kept.items()} if isinstance(kept, dict) else {}

    def _write(self, kept: dict[str, str]) -> None:
        if not kept:
            self._file.unlink(missing_ok=True)
            return
        write_small_file(self._file, json.dumps(kept, indent=2))
