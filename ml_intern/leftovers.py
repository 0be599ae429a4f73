"""What earlier sessions have left running: looked for after the start, and by `ml-intern leftovers`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ml_intern.core.env import load_env
from ml_intern.core.events import EventStream
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.core.places import Places, find_places
from ml_intern.core.plain_text import plain
from ml_intern.core.protocol import Leftover, LeftoversEvent, Notice
from ml_intern.core.redact import Redactor
from ml_intern.core.spending import Spending
from ml_intern.exit_codes import FAILURE, OK
from ml_intern.parser import Parser
from ml_intern.services.hub import HubClient
from ml_intern.sessions.find import sessions_by_prefix
from ml_intern.sessions.lock import in_use
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.leftovers import LeftoverError, Leftovers, Whereabouts, summary
from ml_intern.tools.rented import rentable

log = logging.getLogger(__name__)

_DESCRIPTION = "Lists jobs and sandboxes that still run although the session that started them has ended."


def create_leftovers(hub: HubClient, jobs: JobsBackend, local: JobsBackend, places: Places) -> Leftovers:
    """Looks for leftovers on the Hub and on this machine.

    Args:
        hub: The way to the Hub.
        jobs: Where jobs run; its price list is the best there is when that is the Hub.
        local: Jobs on this machine.
        places: Where sessions are kept.
    """

    def whereabouts(session_id: str) -> Whereabouts:
        found = sessions_by_prefix(places.sessions, session_id) if session_id else []
        if not found or found[0].stem != session_id:
            return "elsewhere"
        return "runs" if in_use(found[0]) else "ended"

    return Leftovers(hub, partial(rentable, jobs), whereabouts, local, jobs.refresh)


class LeftoverWatch:
    """Looks once, and tells what it finds. A Hub that cannot be asked is no news.

    Args:
        leftovers: Finds and ends them.
        events: Where they are told.
        spending: Where the bill of a resumed session is put right.
        resumed: Id of a session that has run before, or empty.
        keeps_sandbox: Whether the session works in a sandbox.
    """

    def __init__(
        self,
        leftovers: Leftovers,
        events: EventStream,
        spending: Spending,
        *,
        resumed: str = "",
        keeps_sandbox: bool = False,
    ) -> None:
        self._leftovers = leftovers
        self._events = events
        self._spending = spending
        self._resumed = resumed
        self._keeps_sandbox = keeps_sandbox
        self._looking: asyncio.Task[None] | None = None
        self.items: tuple[Leftover, ...] = ()

    def start(self) -> None:
        """Begins to look in the background."""
        self._looking = asyncio.create_task(self._look())

    def stop(self) -> None:
        """Looks no longer."""
        if self._looking is not None:
            self._looking.cancel()

    async def end(self, leftover: Leftover) -> None:
        """Ends one that a person wants ended, and tells what is left.

        Raises:
            LeftoverError: It could not be ended.
        """
        await self._leftovers.end(leftover)
        self.items = tuple(item for item in self.items if item != leftover)
        self._events.emit(LeftoversEvent(items=self.items))

    async def _look(self) -> None:
        try:
            if self._resumed:
                for ref, usd in (await self._leftovers.bills(self._resumed)).items():
                    self._spending.learn(ref, usd)
            self.items = await self._leftovers.find(self._events.session_id, keeps_sandbox=self._keeps_sandbox)
        except LeftoverError as error:
            log.info("%s", error)
            return
        if self.items:
            self._events.emit(LeftoversEvent(items=self.items))
            text = f"{summary(self.items)} `ml-intern leftovers` lists them and can end them."
            self._events.emit(Notice(text=text, level="warning"))


# ------------------------------------------------------------------------------------------------- command line


def run(arguments: Sequence[str]) -> int:
    """Carries out `ml-intern leftovers` and returns the exit code."""
    parser = Parser(prog="ml-intern leftovers", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--end", action="store_true", help="end those whose session was one of this machine")
    parser.add_argument("--id", action="append", default=[], metavar="ID", help="only this one, wherever it is from")
    parser.add_argument("--json", action="store_true", help="a list of objects, for programs")
    try:
        chosen = parser.parse_args(list(arguments))
    except SystemExit:  # the help has been printed
        return OK
    return asyncio.run(_run(load_env(Path.cwd()).values, chosen))


async def _run(env: Mapping[str, str], chosen: argparse.Namespace) -> int:
    places = find_places(env)
    hub = HubClient(env)
    local = LocalBackend(places.jobs, {})
    leftovers = create_leftovers(hub, local, local, places)
    try:
        items = await leftovers.find()
    except LeftoverError as error:
        sys.stderr.write(f"ml-intern: {error}\n")
        return FAILURE
    if chosen.id:
        items = tuple(item for item in items if item.id in chosen.id)
    ended, failed = await _end(leftovers, items, named=bool(chosen.id)) if chosen.end else (frozenset(), 0)
    redactor = Redactor.from_env(env)
    if chosen.json:
        rows = [{**item.model_dump(), "ended": item.id in ended} for item in items]
        text = json.dumps(redactor.data(rows), ensure_ascii=False, indent=2)
    else:
        text = redactor.text(plain("\n".join(_lines(items, ended, signed_in=bool(hub.token)))))
    sys.stdout.write(f"{text}\n")
    return FAILURE if failed else OK


async def _end(leftovers: Leftovers, items: Sequence[Leftover], *, named: bool) -> tuple[frozenset[str], int]:
    """Ends them; which were ended, and how many could not be."""
    ended, failed = set(), 0
    for item in items:
        if not (item.here or named):
            continue
        try:
            await leftovers.end(item)
        except LeftoverError as error:
            failed += 1
            sys.stderr.write(f"ml-intern: {error}\n")
        else:
            ended.add(item.id)
    return frozenset(ended), failed


def _lines(items: Sequence[Leftover], ended: frozenset[str], *, signed_in: bool) -> list[str]:
    if not items:
        return [
            "Nothing of earlier sessions runs." + ("" if signed_in else " The Hub was not asked: there is no token.")
        ]
    rows = [summary(items), *(_line(item, done=item.id in ended) for item in items)]
    if not ended:
        rows.append("End them with `ml-intern leftovers --end`, one of them with `--end --id ID`.")
    return rows


def _line(item: Leftover, *, done: bool) -> str:
    price = f"${item.usd_per_hour:.2f}/h" if item.usd_per_hour is not None else "price unknown"
    parts = [
        "ended" if done else item.stage.lower(),
        f"{item.kind} {item.id}",
        item.flavor,
        price,
        f"${item.cost_usd:.2f} so far" if item.cost_usd is not None else "",
        f"since {item.since}" if item.since else "",
        f"session {item.session_id[:8] or 'unknown'}" + ("" if item.here else " of another machine"),
        item.title.replace("\n", " ")[:60],
        item.url,
    ]
    return "  " + " · ".join(part for part in parts if part)
