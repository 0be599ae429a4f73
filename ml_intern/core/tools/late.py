"""Tools whose code is imported when a model calls them: at the start only what they are called and take is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ml_intern.core.once import Once
from ml_intern.core.tools.spec import ToolContext


class Late:
    """The worker of one or several tools, made at the first call.

    Args:
        make: Makes it, with the imports that it takes. Called in a thread.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._worker = Once(make)

    def method(self, name: str) -> Callable[[Any, ToolContext], Any]:
        """A coroutine function of the worker, by its name, to be a handler or an assessor of a tool."""

        async def call(params: Any, context: ToolContext) -> Any:
            worker = self._worker.made or await asyncio.to_thread(self._worker)
            return await getattr(worker, name)(params, context)

        return call
