"""The command line taken apart. Imported only where there is something on it."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from ml_intern import __version__
from ml_intern.options import DEMO_MODEL, EFFORTS, MODES, OUTPUTS, TYPE_CHECKING, Options, UsageError
from ml_intern.parser import Parser

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Literal

_SESSION_VERBS = frozenset(
    ("list", "search", "show", "export", "import", "rename", "tag", "delete", "restore", "prune", "fork")
)
_PROGRAMS = frozenset(("leftovers", "serve"))
"""Commands that read the rest of the line themselves. Followed by a word that is no flag, they begin a prompt."""
_COMMANDS = ("doctor", "help", "leftovers", "serve", "sessions", "version")

_USAGE = """\
ml-intern [options]                open the app, full-screen
       ml-intern [options] PROMPT...      work on one prompt without a screen, then exit
       ml-intern [options] [PROMPT...] -  the same, the rest of the prompt from standard input
       ml-intern --demo [PROMPT...]       the practice session: no key, no network, no account
       ml-intern sessions COMMAND ...     list, search, show, export, delete, ... earlier sessions
       ml-intern leftovers [--end]        jobs and sandboxes that outlived their session
       ml-intern serve [--host HOST] [--port PORT]    the app in a browser
       ml-intern doctor [--json]          what is configured, reachable and missing"""

_DESCRIPTION = "An ML engineer in your terminal: researches, writes and ships machine-learning work."

_EPILOG = """\
exit codes of a run without a screen:
  0    the turn completed
  1    it failed: the model or a service could not be used
  2    usage or configuration
  3    a limit ended it: model calls, cost, context
  4    it needed an approval that nobody could give
  130  interrupted

examples:
  ml-intern "fine-tune SmolLM3 on my dataset and report the accuracy"
  ml-intern --model vllm/qwen3 --mode plan look at data.csv and propose a baseline
  git diff | ml-intern review this change: -

A prompt that looks like a command of its own goes after two hyphens: ml-intern -- doctor
"""

_DOCTOR = """\
usage: ml-intern doctor [--json] [options]

What is configured and by whom, what can be reached, what is missing, and what things cost. It changes nothing, and
nothing is sent to a model.

options:
  --json      one object, for programs
  -m, --model, --config, --workdir and the others: looked at as a run with them would

exit codes:
  0    a run could begin
  1    something stands in its way; the lines with ✗ say what
"""


def parse(arguments: Sequence[str]) -> tuple[str, Options, bool]:
    """What to start, with which options, and whether it answers in JSON.

    It is one of `app`, `headless`, `doctor`, `sessions`, `leftovers` and `serve`.

    Raises:
        UsageError: The command line makes no sense.
        SystemExit: All that was asked for has been printed.
    """
    if arguments and arguments[0] in _PROGRAMS and all(word.startswith("-") for word in arguments[1:2]):
        return arguments[0], Options(arguments=tuple(arguments[1:])), False
    parser = _parser()
    ours, literal = _split(arguments)
    if "doctor" in ours and {"-h", "--help"} & set(ours) and len([word for word in ours if word[:1] != "-"]) == 1:
        sys.stdout.write(_DOCTOR)
        raise SystemExit(0)
    ours, command = _split_command(ours)
    values = vars(parser.parse_intermixed_args(ours))
    words: list[str] = values.pop("prompt")
    as_json: bool = values.pop("json")
    if values["resume"] is not None and values["continue_latest"]:
        raise UsageError("--resume and --continue exclude each other")
    if command is not None and not words:
        if literal:  # words that begin with a hyphen, a title for example
            command = [*command, "--", *literal]
        return "sessions", Options(**{**values, "output": "text", "arguments": tuple(command)}), as_json
    words += ["sessions", *command] if command is not None else []
    front_end = "doctor" if words == ["doctor"] and not literal else ""
    if not front_end:
        if as_json:
            raise UsageError("--json belongs to `doctor` and `sessions`; a prompt takes --output json")
        if not literal:
            _refuse_lookalikes(words, parser)
        values["prompt"] = _prompt([*words, *literal])
        front_end = "app" if values["prompt"] is None else "headless"
    if values["demo"] and values["model"] not in {None, DEMO_MODEL}:
        raise UsageError("--demo brings its own model; leave out one of --demo and --model")
    if values["demo"] and values["workdir"] is not None:
        raise UsageError("--demo works in a fresh directory of its own; leave out one of --demo and --workdir")
    if front_end == "app" and values["output"] is not None:
        raise UsageError("--output needs a prompt")
    values["output"] = values["output"] or "text"
    return front_end, Options(**values), as_json


def help_text() -> str:
    """What `--help` prints."""
    return _parser().format_help()


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before two hyphens and is looked at, and what stands after them and is a prompt as it is."""
    arguments = list(arguments)
    if "--" not in arguments:
        return arguments, []
    position = arguments.index("--")
    return arguments[:position], arguments[position + 1 :]


def _split_command(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """What stands before `sessions` and a command of it, and what is said to that; None when there is no such thing."""
    for position, word in enumerate(arguments):
        if word == "sessions":
            rest = arguments[position + 1 :]
            first = next((each for each in rest if not each.startswith("-")), "")
            if first in _SESSION_VERBS or (rest and rest[0] in {"-h", "--help"}):
                return arguments[:position], rest
    return arguments, None


def _prompt(words: Sequence[str]) -> str | None:
    if not words:
        return None
    if words[-1] != "-":
        text = " ".join(words)
    elif not (text := _read_prompt()) and len(words) > 1:
        raise UsageError("standard input is empty; leave out the `-` if nothing is to be read from it")
    else:
        text = "\n\n".join([*filter(None, [" ".join(words[:-1])]), text])
    if not text.strip():
        raise UsageError("the prompt is empty")
    return text


def _read_prompt() -> str:
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("the prompt cannot be read: standard input is closed")
    return sys.stdin.buffer.read().decode("utf-8", "replace").removeprefix("\ufeff").strip()


def _refuse_lookalikes(words: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Keeps a mistyped or missing command from becoming the prompt of a run that costs money."""
    if not words:
        return
    first = words[0]
    if list(words) == ["help"]:
        parser.print_help()
        raise SystemExit(0)
    if first == "sessions" and (len(words) < 3 or _near(words[1], tuple(_SESSION_VERBS), 1, 0.8)):
        text = "`sessions` needs a command: `ml-intern sessions --help` lists them"
        raise UsageError(f"{text}; `ml-intern -- sessions …` is a prompt")
    if len(words) == 1 and " " not in first and (near := _near(first, _COMMANDS, 1, 0.8)):
        raise UsageError(f"did you mean `{near[0]}`? `ml-intern -- {first}` sends it as a prompt")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="ml-intern",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=100),
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("prompt", nargs="*", help=argparse.SUPPRESS)
    _add_model_options(parser.add_argument_group("model"))
    _add_work_options(parser.add_argument_group("work"))
    _add_session_options(parser.add_argument_group("session and output"))
    about = parser.add_argument_group("about")
    about.add_argument("--debug", action="store_true", help="write every request and reply to the log file")
    about.add_argument("--version", action="version", version=f"ml-intern {__version__}", help="print the version")
    about.add_argument("-h", "--help", action="help", help="print this help")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    return parser


def _add_model_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-m", "--model", metavar="ID", type=_model, help="for example openai/gpt-5.5 or ollama/qwen3")
    group.add_argument(
        "--effort", metavar="LEVEL", type=_one_of("effort", EFFORTS), help=f"reasoning: {_list(EFFORTS)}"
    )
    group.add_argument(
        "--no-stream", dest="stream", action="store_const", const=False, help="whole replies instead of tokens"
    )
    group.add_argument(
        "--max-iterations", metavar="N", type=_iterations, help="model calls in one turn, at least 1 (default 300)"
    )
    group.add_argument(
        "--max-cost",
        dest="max_cost_usd",
        metavar="USD",
        type=_max_cost,
        help="spending cap of the session, or `none` (default 10 without a screen and in yolo mode)",
    )


def _add_work_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--mode", type=_one_of("mode", MODES), metavar="MODE", help=f"approvals: {_list(MODES)}")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--sandbox-tools",
        dest="tool_runtime",
        action="store_const",
        const="sandbox",
        help="bash, read, write and edit act in a sandbox",
    )
    where.add_argument(
        "--local-tools", dest="tool_runtime", action="store_const", const="local", help="they act on this machine"
    )
    group.add_argument("--workdir", metavar="DIR", type=_directory, help="work there instead of here")
    group.add_argument("--config", metavar="FILE", type=_path, help="user configuration instead of the usual file")
    group.add_argument("--demo", action="store_true", help="the practice session: no key, no network, no account")


def _add_session_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--resume", metavar="ID", nargs="?", const="", help="resume a session; without ID, pick one")
    group.add_argument(
        "--continue", dest="continue_latest", action="store_true", help="resume the newest session of this directory"
    )
    group.add_argument(
        "--output", metavar="FORMAT", type=_one_of("output", OUTPUTS), help=f"with a prompt: {_list(OUTPUTS)}"
    )
    group.add_argument("--theme", metavar="NAME", help="theme of the app")
    group.add_argument("--plain", action="store_true", help="talk line by line, without a screen: for screen readers")


def _near(word: str, choices: Sequence[str], count: int, cutoff: float = 0.6) -> list[str]:
    import difflib

    return difflib.get_close_matches(word, choices, count, cutoff)


def _list(choices: Sequence[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


# -------------------------------------------------------------------------------------------------------- values


def _one_of(what: str, choices: Sequence[str]) -> Any:
    def check(value: str) -> str:
        if value in choices:
            return value
        near = _near(value.lower(), choices, 1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {_list(choices)}"
        raise argparse.ArgumentTypeError(f"there is no {what} {value!r}; {hint}")

    return check


def _model(value: str) -> str:
    if not value.strip():
        raise argparse.ArgumentTypeError("the model id is empty")
    return value.strip()


def _iterations(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number of at least 1")
    return int(value)


def _max_cost(value: str) -> float | Literal["none"]:
    if value.lower() == "none":
        return "none"
    try:
        dollars = float(value.removeprefix("$"))
    except ValueError:
        dollars = math.nan
    if not (math.isfinite(dollars) and dollars >= 0):
        raise argparse.ArgumentTypeError(f"{value!r} is neither an amount in dollars nor `none`")
    return dollars


def _path(value: str) -> Path:
    from pathlib import Path

    return Path(value)


def _directory(value: str) -> Path:
    path = _path(value).expanduser()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{value!r} is not a directory")
    return path.absolute()
