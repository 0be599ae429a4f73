"""Things that are made when they are first needed, and only once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

MadeT = TypeVar("MadeT")


class Once(Generic[MadeT]):
    """Gives a thing, which is made at the first call. May be called from any thread.

    Args:
        make: Makes it, with the imports that it takes.

    Attributes:
        made: The thing, if there is one already.
    """

    def __init__(self, make: Callable[[], MadeT]) -> None:
        self._make = make
        self._making = threading.Lock()
        self.made: MadeT | None = None

    def __call__(self) -> MadeT:
        """The thing. What goes wrong while it is made goes on to the caller; the next one tries again."""
        with self._making:
            if self.made is None:
                self.made = self._make()
            return self.made
