"""`ml-intern sessions …`: earlier sessions from the command line, for people and for scripts."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from ml_intern.core.env import load_env
from ml_intern.core.logs import start_logging
from ml_intern.core.places import find_places
from ml_intern.core.redact import WITHHELD, Redactor
from ml_intern.exit_codes import FAILURE, OK, USAGE
from ml_intern.options import Options, UsageError
from ml_intern.parser import Parser
from ml_intern.sessions.command_text import Printer, found_lines, list_lines
from ml_intern.sessions.conversation import conversation_of
from ml_intern.sessions.exports import FORMATS, ExportError, export, save
from ml_intern.sessions.find import SessionFile
from ml_intern.sessions.index import IndexUnavailableError, SessionIndex
from ml_intern.sessions.log import read_session
from ml_intern.sessions.store import SessionError, SessionStore, summary_of

_AGE = re.compile(r"(\d{1,6})([hdw])\Z")
Item = TypeVar("Item")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works with.

    Attributes:
        directory: The working directory.
        store: The sessions.
        index: Their index.
        redactor: Takes secrets out of what leaves.
        out: Where answers go.
    """

    directory: Path
    store: SessionStore
    index: SessionIndex
    redactor: Redactor
    out: Printer


def run(options: Options, *, as_json: bool = False) -> int:
    """Carries out a command about sessions and returns the exit code: 0, 1 when it failed, 2 for a wrong command line.

    Args:
        options: The command line; `arguments` is what follows `sessions`.
        as_json: Whether the answer is for a program.
    """
    try:
        choice = _parser().parse_args(options.arguments)
    except UsageError as error:
        return _complain(f"{error} (`ml-intern sessions --help` lists everything)", USAGE)
    except SystemExit as leave:  # `--help` prints and leaves
        return leave.code if isinstance(leave.code, int) else OK
    desk = _desk(options, as_json or choice.json)
    action: Callable[[Desk, argparse.Namespace], int] = choice.action
    try:
        return action(desk, choice)
    except (SessionError, ExportError, IndexUnavailableError) as error:
        return _complain(str(error), FAILURE)
    except BrokenPipeError:  # whoever read the answer has enough of it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - nothing must be flushed into the closed pipe at exit
        return OK
    except OSError as error:
        return _complain(f"{error.strerror or error}: {error.filename or desk.store.directory}", FAILURE)


def _desk(options: Options, as_json: bool) -> Desk:
    directory = (options.workdir or Path.cwd()).expanduser().resolve()
    env = load_env(directory).values
    places = find_places(env)
    redactor = Redactor.from_env(env)
    start_logging(places.logs, redactor.text, debug=options.debug)
    store, index = SessionStore(places.sessions, redactor), SessionIndex(places.sessions)
    return Desk(directory, store, index, redactor, Printer(sys.stdout, redactor, as_json=as_json))


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"ml-intern: {' '.join(text.split())}\n")
    return code


# ------------------------------------------------------------------------------------------------------ the commands


def _list(desk: Desk, choice: argparse.Namespace) -> int:
    _refresh(desk)
    sessions = desk.index.list(None if choice.all else desk.directory, limit=choice.limit)
    desk.out.answer(
        [session.row() for session in sessions], lambda: list_lines(sessions, desk.out.columns, everywhere=choice.all)
    )
    if not sessions and not desk.out.as_json:
        elsewhere = 0 if choice.all else desk.index.count()
        hint = (
            f" in this directory; `ml-intern sessions list --all` shows {elsewhere} elsewhere" if elsewhere else " yet"
        )
        sys.stderr.write(f"There are no sessions{hint}.\n")
    return OK


def _search(desk: Desk, choice: argparse.Namespace) -> int:
    words = " ".join(choice.words)
    if not words.strip():
        raise SessionError("There is nothing to search for; give a word.")
    _refresh(desk)
    found = desk.index.search(words, directory=desk.directory if choice.here else None, limit=choice.limit)
    rows = [{**each.session.row(), "snippet": each.snippet} for each in found]
    desk.out.answer(rows, lambda: found_lines(found, desk.out.columns, bold=desk.out.bold))
    if not found and not desk.out.as_json:
        sys.stderr.write(f"No session holds {words!r}.\n")
    return OK


def _refresh(desk: Desk) -> None:
    if not desk.index.path.exists() and sys.stderr.isatty():
        sys.stderr.write("Making the index of earlier sessions; with many of them it takes a moment.\n")
    desk.index.refresh()


def _show(desk: Desk, choice: argparse.Namespace) -> int:
    path = desk.store.find(choice.id)
    if not desk.out.as_json:
        desk.out.text(export(path, "markdown", desk.redactor))
        return OK
    conversation = conversation_of(path.stem, read_session(path))
    clean = desk.redactor.data({**summary_of(path).row(), "events": conversation.events})
    if clean is WITHHELD:
        raise ExportError(f"Session {path.stem[:8]} is not shown: a part of it could not be checked for secrets.")
    desk.out.answer(clean, list)
    return OK


def _export(desk: Desk, choice: argparse.Namespace) -> int:
    path = desk.store.find(choice.id)
    text = export(path, choice.format, desk.redactor)
    answer: dict[str, Any] = {"id": path.stem, "format": choice.format}
    if choice.to is None:
        if desk.out.as_json:
            desk.out.answer({**answer, "content": text}, list)
        else:
            desk.out.text(text)
        return OK
    save(text, choice.to)
    target = str(choice.to.absolute())
    desk.out.answer({**answer, "path": target}, lambda: [f"Session {path.stem[:8]} is in {target}."])
    return OK


def _import(desk: Desk, choice: argparse.Namespace) -> int:
    from ml_intern.sessions.imports import import_trace

    path = import_trace(choice.file, desk.store)
    summary = summary_of(path)
    turns = "1 turn" if summary.turns == 1 else f"{summary.turns} turns"
    said = f"Imported as session {summary.id}: {turns}, {summary.title} ({summary.origin})"
    desk.out.answer(summary.row(), lambda: [said])
    return OK


def _rename(desk: Desk, choice: argparse.Namespace) -> int:
    path = desk.store.find(choice.id)
    desk.store.rename(path, " ".join(choice.title))
    summary = summary_of(path)
    desk.out.answer(summary.row(), lambda: [f"Session {path.stem[:8]} is called {summary.title!r}."])
    return OK


def _tag(desk: Desk, choice: argparse.Namespace) -> int:
    path = desk.store.find(choice.id)
    tags = desk.store.tag(path, [*choice.tags, *(f"-{tag}" for tag in choice.remove or ())])
    shown = ", ".join(tags) or "no tags"
    desk.out.answer(summary_of(path).row(), lambda: [f"Session {path.stem[:8]} has {shown}."])
    return OK


def _delete(desk: Desk, choice: argparse.Namespace) -> int:
    paths = list(dict.fromkeys(desk.store.find(prefix) for prefix in choice.ids))
    ids: list[str] = []

    def delete(path: Path) -> None:
        desk.store.delete(path)
        ids.append(path.stem)

    problem = _as_far_as_possible(paths, delete)
    desk.out.answer(
        {"deleted": ids}, lambda: [f"{name} is in the trash; `ml-intern sessions restore {name[:8]}`" for name in ids]
    )
    return _complain(problem, FAILURE) if problem else OK


def _as_far_as_possible(items: Iterable[Item], work: Callable[[Item], object]) -> str:
    """Does something to each of them, and says of those with which it cannot be done why."""
    problems = []
    for item in items:
        try:
            work(item)
        except SessionError as error:
            problems.append(str(error))
    return " ".join(problems)


def _restore(desk: Desk, choice: argparse.Namespace) -> int:
    ids: list[str] = []
    problem = _as_far_as_possible(choice.ids, lambda prefix: ids.append(desk.store.restore(prefix).stem))
    desk.out.answer({"restored": ids}, lambda: [f"{name} is back." for name in ids])
    return _complain(problem, FAILURE) if problem else OK


def _prune(desk: Desk, choice: argparse.Namespace) -> int:
    files = desk.store.older_than(choice.older_than, in_trash=choice.trash)
    pruned: list[SessionFile] = []

    def prune(file: SessionFile) -> None:
        if not choice.dry_run:
            (desk.store.destroy if choice.trash else desk.store.delete)(file.path)
        pruned.append(file)

    problem = _as_far_as_possible(files, prune)
    ids = [file.id for file in pruned]
    verb = "be deleted for good" if choice.trash else "go to the trash"
    done = "were deleted for good" if choice.trash else "are in the trash"
    size = sum(file.size for file in pruned)
    said = f"{len(ids)} sessions ({size / 1e6:.1f} MB) {f'would {verb}' if choice.dry_run else done}."
    answer = {"pruned": ids, "bytes": size, "dry_run": choice.dry_run}
    desk.out.answer(answer, lambda: [*ids, said] if choice.dry_run else [said])
    return _complain(problem, FAILURE) if problem else OK


def _fork(desk: Desk, choice: argparse.Namespace) -> int:
    path = desk.store.fork(desk.store.find(choice.id))
    said = f"The copy is session {path.stem}; `ml-intern --resume {path.stem[:8]}` goes on with it."
    desk.out.answer(summary_of(path).row(), lambda: [said])
    return OK


# ----------------------------------------------------------------------------------------------------------- parsing


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="ml-intern sessions",
        description="Earlier sessions. An ID may be any beginning that fits one session only.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, action: Callable[[Desk, argparse.Namespace], int], text: str, *, ids: str = "") -> Parser:
        made: Parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON, for programs")
        made.set_defaults(action=action)
        if ids:
            made.add_argument(ids, metavar="ID", nargs="+" if ids == "ids" else None)
        return made

    _add_looking(add)
    _add_changing(add)
    return parser


def _add_looking(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("list", _list, "list the sessions of this directory, the one used last first")
    command.add_argument("--all", action="store_true", help="of all directories")
    command.add_argument("--limit", type=_count, default=1_000_000, metavar="N", help="at most so many")
    command = add("search", _search, "search what was said and run, in all directories")
    command.add_argument("words", nargs="+", metavar="WORD", help="all must be there; the last may be a beginning")
    command.add_argument("--here", action="store_true", help="only sessions of this directory")
    command.add_argument("--limit", type=_count, default=20, metavar="N", help="at most so many (default 20)")
    add("show", _show, "show a session", ids="id")
    command = add("export", _export, "write a session in another format", ids="id")
    command.add_argument("--format", choices=FORMATS, default="markdown", help="default: markdown")
    command.add_argument("--to", type=Path, metavar="FILE", help="there instead of on standard output")


def _add_changing(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add(
        "import", _import, "bring in a trace of Claude Code or Codex, a session_*.json or a log from elsewhere"
    )
    command.add_argument("file", type=_file, metavar="FILE")
    command = add("rename", _rename, "give a session a title", ids="id")
    command.add_argument("title", nargs="+", metavar="TITLE")
    command = add("tag", _tag, "add tags to a session", ids="id")
    command.add_argument("tags", nargs="*", metavar="TAG")
    command.add_argument("--remove", action="append", metavar="TAG", help="take a tag off")
    add("delete", _delete, "put sessions into the trash", ids="ids")
    add("restore", _restore, "bring sessions back from the trash", ids="ids")
    command = add("prune", _prune, "put all sessions into the trash that were not used for a while")
    command.add_argument("--older-than", type=_age, required=True, metavar="AGE", help="for example 90d, 12w or 36h")
    command.add_argument("--dry-run", action="store_true", help="only tell which")
    command.add_argument("--trash", action="store_true", help="delete for good what lies in the trash and is that old")
    add("fork", _fork, "copy a session under a new id, to go on from it in another way", ids="id")


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 2**31):
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number of at least 1")
    return int(value)


def _age(value: str) -> timedelta:
    match = _AGE.match(value)
    if not match:
        raise argparse.ArgumentTypeError(f"{value!r} is not an age such as 90d, 12w or 36h")
    age = timedelta(**{_UNITS[match[2]]: int(match[1])})
    return min(age, timedelta(days=36_500))  # before that there were no sessions, and soon after not even a calendar


def _file(value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{value!r} is not a file")
    return path
