"""The command line. Next to nothing is imported here; the chosen front end comes when it is chosen."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from ml_intern import __version__
from ml_intern.exit_codes import FAILURE, INTERRUPTED, USAGE
from ml_intern.options import TYPE_CHECKING, Options, UsageError

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["UsageError", "help_text", "main", "parse", "run"]


def main() -> NoReturn:
    """Console entry point: runs the command line of this process and leaves."""
    for name in ("SIGTERM", "SIGHUP"):  # until the front end takes over, they end it as Ctrl+C does
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as leave:  # a signal ended the app before it was up
        code = leave.code if isinstance(leave.code, int) else FAILURE
    _leave(code)


def run(arguments: Sequence[str]) -> int:
    """Carries out a command line and returns the exit code."""
    if sys.stdout is None:
        _say("standard output is closed, so there is nowhere to answer")
        return FAILURE
    if list(arguments) in (["--version"], ["version"]):
        print(f"ml-intern {__version__}")  # noqa: T201 - the answer to the question
        return 0
    try:
        choice = parse(arguments)
        _check_directory(choice[1])
        if choice[0] == "app":
            choice = _plain_if_wanted(choice)
        if choice[0] == "app":
            _check_terminal()
    except UsageError as error:
        _say(f"{error} (`ml-intern --help` lists everything)")
        return USAGE
    except SystemExit as leave:  # `--help` and `--version` print and leave
        return leave.code if isinstance(leave.code, int) else 0
    return _carry_out(choice)


def _check_directory(options: Options) -> None:
    try:
        os.getcwd()  # noqa: PTH109 - `pathlib` would be imported for nothing else
    except OSError as error:
        if options.workdir is None:
            raise UsageError(
                "the current directory is gone; change to another one or name one with --workdir"
            ) from error


def _check_terminal() -> None:
    in_browser = "TEXTUAL_DRIVER" in os.environ  # a page is the terminal then
    if not in_browser and not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
        raise UsageError("the app needs a terminal; give a prompt, or `-` to read one from standard input")


def _plain_if_wanted(choice: tuple[str, Options, bool]) -> tuple[str, Options, bool]:
    """The flag, the environment, or the configuration may want the conversation line by line."""
    from ml_intern.tui.early.preferences import preferences_at_start

    options = choice[1]
    asked = options.plain or os.environ.get("ML_INTERN_PLAIN", "").lower() in {"1", "true", "yes", "on"}
    return ("plain", *choice[1:]) if asked or preferences_at_start(options).plain else choice


def _carry_out(choice: tuple[str, Options, bool]) -> int:
    front_end, options, as_json = choice
    try:
        if front_end == "doctor":
            from ml_intern import doctor

            return doctor.run(options, as_json=as_json)
        if front_end == "sessions":
            from ml_intern.sessions import command

            return command.run(options, as_json=as_json)
        if front_end == "leftovers":
            from ml_intern import leftovers

            return leftovers.run(options.arguments)
        if front_end == "serve":
            from ml_intern.web.serve import run as serve

            return serve(options.arguments)
        if front_end == "headless":
            from ml_intern import headless

            return headless.run(options)
        if front_end == "plain":
            from ml_intern.headless import plain

            return plain.run(options)
        from ml_intern.tui.main import run as run_app

        return run_app(options)
    except UsageError as error:
        _say(f"{error} (`ml-intern {front_end} --help` lists everything)")
        return USAGE
    except Exception as error:  # noqa: BLE001 - the outermost edge: whatever got here ends as one line
        return _crashed(error)


def parse(arguments: Sequence[str]) -> tuple[str, Options, bool]:
    """What to start, with which options, and whether it answers in JSON.

    It is one of `app`, `headless`, `doctor`, `sessions`, `leftovers` and `serve`.

    Raises:
        UsageError: The command line makes no sense.
        SystemExit: All that was asked for has been printed.
    """
    if not arguments:
        return "app", Options(), False
    from ml_intern.arguments import parse as parse_all

    return parse_all(arguments)


def help_text() -> str:
    """What `--help` prints."""
    from ml_intern.arguments import help_text as whole

    return whole()


# ------------------------------------------------------------------------------------------------------- leaving


def _crashed(error: Exception) -> int:
    """Says in one line that the program broke; the traceback goes to the log file."""
    import traceback

    from ml_intern.core.places import find_places
    from ml_intern.core.redact import Redactor

    redact = Redactor.from_env(os.environ).text
    where = "; no log could be written"
    try:
        logs = find_places().logs
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (logs / "crash.log").open("w", encoding="utf-8") as file:
            file.write(redact("".join(traceback.format_exception(error))))
        where = f"; the details are in {logs / 'crash.log'}"
    except OSError:
        pass  # the sentence below says so
    what = redact(f"{type(error).__name__}: {error}")
    _say(f"it broke ({what}){where}")
    return FAILURE


def _leave(code: int) -> NoReturn:
    """Ends the process now. Everything is saved and written by then; a library still loading in a thread may go."""
    for stream, failure in ((sys.stdout, FAILURE), (sys.stderr, 0)):  # an answer was lost, or only remarks on it
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # closed on the other side
            code = code or failure
    os._exit(code)


def _say(text: str) -> None:
    """Says one line to whoever called, if standard error is open."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"ml-intern: {text}", file=sys.stderr)  # noqa: T201 - before any UI, or after it
