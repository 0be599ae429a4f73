"""Tools whose code is imported when a model calls them: at the start only what they are called and take is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ml_intern.core.tools.spec import ToolContext

MadeT = TypeVar("MadeT")


class Late(Generic[MadeT]):
    """Something that is made when it is first needed, and only once.

    Args:
        make: Makes it, with the imports that it takes. Called in a thread.
    """

    def __init__(self, make: Callable[[], MadeT]) -> None:
        self._make = make
        self._making = asyncio.Lock()
        self._made: MadeT | None = None

    async def get(self) -> MadeT:
        """The thing itself. What goes wrong while it is made goes on to the caller; the next one tries again."""
        if self._made is None:
            async with self._making:
                if self._made is None:
                    self._made = await asyncio.to_thread(self._make)
        return self._made

    def method(self, name: str) -> Callable[[Any, ToolContext], Any]:
        """A coroutine function of the thing, by its name, to be a handler or an assessor of a tool."""

        async def call(params: Any, context: ToolContext) -> Any:
            return await getattr(await self.get(), name)(params, context)

        return call
