"""Blocking calls off the event loop, in threads that never keep the program from ending.

`asyncio.to_thread` has a few threads that the interpreter waits for at its end; a log stream that is silent for a
minute must hold up neither other calls nor the exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_MOST_WAITING = 1000
"""Items a stream may be ahead of its reader before the producing thread waits."""


async def in_thread(work: Callable[[], T], *, name: str = "call") -> T:
    """The result of a blocking function. It runs on when the caller is cancelled; its result is dropped then."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where T allows it

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failure = _fit_for_a_future(error)
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


async def stream_in_thread(produce: Callable[[], Iterator[T]], *, name: str = "stream") -> AsyncGenerator[T, None]:
    """Items of a blocking iterator as they come. The iterator is closed when the reader goes away.

    Args:
        produce: Makes the iterator, in the thread.
        name: Of the thread, for stack dumps.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[T | None, BaseException | None, bool]] = asyncio.Queue()
    room = threading.Semaphore(_MOST_WAITING)
    stopped = threading.Event()

    def put(item: T | None, error: BaseException | None, over: bool) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(queue.put_nowait, (item, error, over))

    def run() -> None:
        try:
            for item in produce():
                room.acquire()
                if stopped.is_set():
                    return
                put(item, None, False)
        except BaseException as error:  # noqa: BLE001 - handed to the reader
            put(None, _fit_for_a_future(error), True)
        else:
            put(None, None, True)

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        while True:
            item, error, over = await queue.get()
            if error is not None:
                raise error
            if over:
                return
            room.release()
            yield item  # type: ignore[misc]  # None only where T allows it
    finally:
        stopped.set()
        room.release()


def _fit_for_a_future(error: BaseException) -> BaseException:
    # A future refuses StopIteration, which would end the coroutine that awaits it.
    return RuntimeError(str(error)) if isinstance(error, StopIteration) else error
