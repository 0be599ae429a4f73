"""One running sandbox: commands and files in it. The official client blocks, so every call goes to a thread."""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from ml_intern.core.jobs import Flavor, duration_text
from ml_intern.services.threads import in_thread
from ml_intern.tools.text_files import FileError

if TYPE_CHECKING:
    from huggingface_hub import Sandbox

T = TypeVar("T")

OWN_DIRECTORY = "/tmp/ml-intern"  # noqa: S108 - inside the sandbox, which nobody else uses
MAX_COMMAND_BYTES = 100_000
"""A longer command does not fit into one argument of a program."""

_ATTEMPTS = 3
_PAUSE_S = 0.4
_ANSWER_PATIENCE_S = 30.0
"""How long the answer to a command may take beyond the command's own time."""

_SET_UP = 'mkdir -p -- "$1" "$2" && printf %s "${HOME:-/root}"'
_RUN = """\
echo $$ > "$1"
if command -v bash > /dev/null 2>&1; then exec bash -c "$2"; else exec sh -c "$2"; fi"""
_KILL = """\
for i in 1 2 3 4 5 6 7 8 9 10; do [ -s "$1" ] && break; sleep 0.1; done
p=$(cat "$1") || exit 0
kill -TERM -- "-$p" 2> /dev/null || kill -TERM "$p" 2> /dev/null
sleep 0.3
kill -KILL -- "-$p" 2> /dev/null || kill -KILL "$p" 2> /dev/null
exit 0"""
_LOOK = """\
p=$(readlink -f -- "$1") || p=$1
printf '%s\\0' "$p"
stat -c '%s %Y %F' -- "$p" 2> /dev/null"""
_PUT = """\
to=$(readlink -f -- "$2") || to=$2
m=$(stat -c %a -- "$to" 2> /dev/null) && chmod "$m" -- "$1"
o=$(stat -c %u:%g -- "$to" 2> /dev/null) && chown "$o" -- "$1" 2> /dev/null
mv -f -- "$1" "$to" || { rm -f -- "$1"; exit 1; }"""


class SandboxProblem(Exception):  # noqa: N818 - a sentence for the model, not a fault of ours
    """Something in the sandbox could not be done; the text is a sentence.

    Attributes:
        status: HTTP status of the answer, 0 when there was none.
        printed: What the command had printed until then.
    """

    def __init__(self, message: str, status: int = 0, printed: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.printed = printed


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: with an exit code (negative for a signal), or None when its time was over."""

    code: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Entry:
    """What is at a path of the sandbox.

    Attributes:
        kind: In words, as `stat` calls it.
        size: Bytes.
        modified: Seconds since 1970.
    """

    kind: str
    size: int
    modified: int

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.kind.startswith("regular")

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.kind == "directory"


@dataclass(slots=True)
class Machine:
    """A sandbox that runs.

    Attributes:
        id: The Hub's id of its job.
        name: Its name in the session's ledger, which is also a label of the job.
        namespace: Who pays.
        flavor: Its hardware.
        url: Where a browser shows it.
        idle_s: It ends by itself after this long without use.
        workdir: Where commands start and relative paths begin.
        env: Variables for every command.
        home: Home directory in it.
    """

    id: str
    name: str
    namespace: str
    flavor: Flavor
    url: str
    idle_s: float
    workdir: PurePosixPath
    env: Mapping[str, str]
    handle: Sandbox
    home: str = "/root"
    _counter: int = field(default=0)

    async def set_up(self) -> None:
        """Makes the directories that are needed and learns where the home directory is.

        Raises:
            SandboxProblem: It does not work.
        """
        handle, argv = self.handle, ["sh", "-c", _SET_UP, "sh", str(self.workdir), OWN_DIRECTORY]
        done = await self._do(lambda: handle.run(argv, check=False, timeout=60))
        if done.exit_code != 0:
            raise SandboxProblem(f"{self.workdir} could not be made in it: {done.stderr.strip() or done.exit_code}.")
        self.home = done.stdout.strip() or self.home

    def path(self, path: str) -> PurePosixPath:
        """The absolute path in the sandbox that a path of the model means.

        Raises:
            FileError: It means none.
        """
        if not path.strip():
            raise FileError("path is empty. Name a file.")
        if "\0" in path:
            raise FileError("path holds a NUL character. Remove it.")
        text = path.strip()
        if text == "~" or text.startswith("~/"):
            text = self.home + text[1:]
        return PurePosixPath(posixpath.normpath(self.workdir / text))

    # -------------------------------------------------------------------------------------------------- commands

    async def run(
        self, command: str, *, cwd: PurePosixPath, timeout_s: float, env: Mapping[str, str],
        on_output: Callable[[str, str], None],
    ) -> Ended:  # fmt: skip
        """Runs a shell command to its end. Cancelled, it stops the command and all that belongs to it.

        Args:
            command: As for `bash -c`.
            cwd: Directory it starts in.
            timeout_s: It is stopped after this long.
            env: Further variables.
            on_output: Takes `stdout` or `stderr` and a piece of text. Called from another thread.

        Raises:
            SandboxProblem: It could not be run, or nobody knows how it ended.
        """
        self._counter += 1
        mark = f"{OWN_DIRECTORY}/{self.name}-{self._counter}.pid"
        argv, handle = ["sh", "-c", _RUN, "sh", mark, command], self.handle
        awake = asyncio.create_task(self._stay_awake())
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s + _ANSWER_PATIENCE_S):
                done = await self._do(
                    lambda: handle.run(
                        argv, cwd=str(cwd), env={**self.env, **env}, timeout=timeout_s, check=False,
                        capture_output=False, on_stdout=lambda text: on_output("stdout", text),
                        on_stderr=lambda text: on_output("stderr", text),
                    ),
                )  # fmt: skip
        except TimeoutError:
            await self._kill(mark)
            return Ended(None, time.monotonic() - began)
        except asyncio.CancelledError:
            await asyncio.wait({_in_background(self._kill(mark))}, timeout=0.15)
            raise
        finally:
            awake.cancel()
        seconds = done.duration_ms / 1000 or time.monotonic() - began
        if done.timed_out:
            return Ended(None, seconds)
        return Ended(-(done.signal or 9) if done.exit_code is None else done.exit_code, seconds)

    async def script(self, script: str, *arguments: str) -> tuple[int, str]:
        """Runs a few lines of shell that take care of something; gives the exit code and what was printed.

        Raises:
            SandboxProblem: They could not be run.
        """
        handle, argv = self.handle, ["sh", "-c", script, "sh", *arguments]
        done = await self._do(lambda: handle.run(argv, check=False, timeout=60))
        return (-1 if done.exit_code is None else done.exit_code), (done.stdout + done.stderr).strip()

    async def _kill(self, mark: str) -> None:
        handle = self.handle
        with contextlib.suppress(SandboxProblem):  # the sandbox is gone, and so is the command
            await self._do(lambda: handle.run(["sh", "-c", _KILL, "sh", mark], check=False, timeout=20))

    async def _stay_awake(self) -> None:
        """Shows the sandbox that it is in use: a command that runs does not count."""
        while True:
            await asyncio.sleep(min(60.0, self.idle_s / 3))
            with contextlib.suppress(SandboxProblem):  # whoever waits for the command meets the same
                await self._do(self.handle.processes)

    # ----------------------------------------------------------------------------------------------------- files

    async def look(self, path: PurePosixPath) -> tuple[PurePosixPath, Entry | None]:
        """A path with its links followed, and what is there; None when nothing is.

        Raises:
            SandboxProblem: It cannot be told.
        """
        _, said = await self.script(_LOOK, str(path))
        place, _, figures = said.partition("\0")
        size, modified, kind = (*figures.strip().split(" ", 2), "", "")[:3]
        if not kind:
            return PurePosixPath(place or path), None
        return PurePosixPath(place), Entry(kind, int(size), int(modified))

    async def read(self, path: PurePosixPath) -> bytes:
        """The content of a file.

        Raises:
            SandboxProblem: It cannot be read.
        """
        handle = self.handle
        return await self._do(lambda: handle.files.read(str(path)))

    async def write(self, path: PurePosixPath, data: bytes) -> None:
        """Replaces a file's content in one step, keeping its permissions and links. Makes missing directories.

        Raises:
            SandboxProblem: It cannot be written.
        """
        handle = self.handle
        self._counter += 1
        beside = path.with_name(f".{path.name[:100]}.{self._counter}.tmp")
        await self._do(lambda: handle.files.write(str(beside), data))
        code, said = await self.script(_PUT, str(beside), str(path))
        if code != 0:
            raise SandboxProblem(f"{path} cannot be written: {said or code}.")

    async def names(self, directory: PurePosixPath) -> list[str] | None:
        """Names in a directory; None when there is no such directory."""
        handle = self.handle
        try:
            return [entry.name for entry in await self._do(lambda: handle.files.list(str(directory)))]
        except SandboxProblem:
            return None

    async def upload(self, source: str, path: str) -> None:
        """Copies a file of this machine into the sandbox.

        Raises:
            SandboxProblem: It does not work.
        """
        handle = self.handle
        await self._do(lambda: handle.files.upload(source, path))

    def close(self) -> None:
        """Closes the connections to it. It runs on."""
        self.handle.close()

    def describe(self) -> str:
        """What it is and what it costs, in one line."""
        price = self.flavor.usd_per_hour
        cost = f"${price:.2f} an hour" if price is not None else "at an unknown price"
        return (
            f"Sandbox {self.id} on {self.flavor.name} ({self.flavor.label}), {cost}; it ends after "
            f"{duration_text(self.idle_s)} without use, or with the session."
        )

    async def _do(self, work: Callable[[], T]) -> T:
        """A call of the client in a thread. What was never sent is sent again."""
        import httpx
        from huggingface_hub.errors import HfHubHTTPError, SandboxError

        for attempt in range(_ATTEMPTS):
            try:
                return await in_thread(work, name="sandbox")
            except SandboxError as error:
                raise SandboxProblem(_plain(error), error.status_code or 0) from error
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                if attempt == _ATTEMPTS - 1:
                    raise SandboxProblem(f"the sandbox cannot be reached ({_first_line(error)}).") from error
                await asyncio.sleep(_PAUSE_S * 2**attempt)
            except (httpx.HTTPError, HfHubHTTPError, ValueError, RuntimeError) as error:
                raise SandboxProblem(f"the connection to the sandbox broke off ({_first_line(error)}).") from error
        raise AssertionError("unreachable")


def argument_problem(values: Sequence[str]) -> str:
    """Why these texts cannot be arguments of a program in the sandbox, or an empty string."""
    if any("\0" in value for value in values):
        return "it holds a NUL character. Remove it."
    if sum(len(value.encode("utf-8", "replace")) for value in values) > MAX_COMMAND_BYTES:
        return "it is too long for the system. Write the long part to a file first."
    return ""


def _plain(error: Exception) -> str:
    """What the sandbox said, without the client's own heading."""
    return re.sub(r"^Sandbox API error \(\d+\): ", "", _first_line(error)) + "."


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


_background: set[asyncio.Task[None]] = set()


def _in_background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    # The loop keeps only weak references to its tasks.
    task = asyncio.create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task
