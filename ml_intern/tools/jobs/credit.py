"""Remembers whose credit is used up, so that nobody runs against the same wall again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ml_intern.core.snapshots import FileSnapshots
from ml_intern.core.tools.spec import SessionState


@dataclass(frozen=True, slots=True)
class _Stop:
    text: str
    prompt: int


class CreditStops:
    """Accounts without credit, of one session. A stop holds until the person says something, whatever it is.

    Only the person can top an account up, and whoever has done so writes that it goes on: so a stop is lifted by the
    next prompt, and the agent never tries again by itself.

    Args:
        prompt: Number of the person's newest prompt.
    """

    def __init__(self, prompt: Callable[[], int] = lambda: 0) -> None:
        self._prompt = prompt
        self._stops: dict[str, _Stop] = {}

    @classmethod
    def of(cls, state: SessionState) -> CreditStops:
        """The stops of a session: the one object that jobs and sandboxes share."""
        return state.get(cls, lambda: cls(lambda: state.get(FileSnapshots).prompt))

    def add(self, namespace: str, text: str) -> None:
        """From now on nothing is to be paid by this account."""
        self._stops[namespace] = _Stop(text, self._prompt())

    def objection(self, namespace: str) -> str:
        """Why nothing is to be paid by this account now, or an empty string."""
        stop = self._stops.get(namespace)
        if stop is None:
            return ""
        if stop.prompt != self._prompt():
            del self._stops[namespace]
            return ""
        return f"Not tried again: {stop.text}"

    def clear(self, namespace: str = "") -> None:
        """Lifts the stop of an account, or all of them."""
        if namespace:
            self._stops.pop(namespace, None)
        else:
            self._stops.clear()
