"""Kills a busy session at many moments, and looks whether each log reads, goes on, and holds what was shown.

python -m benchmarks.kills [--count N] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.sessions.busy import Death, deaths, half_said_in, kill_all, problems_of, resumption_problems, shown_in


def main(arguments: Sequence[str] | None = None) -> int:
    """Kills and looks. Returns the exit code: 1 when something was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, metavar="N", help="how often (default 200)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the moments (default 1)")
    choice = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        (alive,) = kill_all(Path(directory) / "alive", [Death(0, None)], 1)
        shown = [event["type"] for event in shown_in(alive)]
        events, pieces = len(shown), shown.count("assistant_chunk")
        start = time.monotonic()
        places = kill_all(Path(directory) / "killed", deaths(choice.count, events, pieces, choice.seed))
        lost = {place.name: found for place in places if (found := problems_of(place))}
        halves = sum(bool(half_said_in(place)) for place in places)
        begun = [place for place in places if list((place / "home").rglob("*.jsonl"))]
        lost |= asyncio.run(_go_on(begun))
        took = time.monotonic() - start
    about = f"{choice.count} kills of a session of {events} events ({pieces} of them pieces of replies)"
    print(f"{about}, {len(begun)} with a log, {halves} within a reply, in {took:.0f} s")
    for name, found in lost.items():
        print(f"{name}: {'; '.join(found)}")
    print(f"{len(lost)} of them lost something or could not be gone on with")
    return int(bool(lost))


async def _go_on(places: Sequence[Path]) -> dict[str, list[str]]:
    return {place.name: found for place in places if (found := await resumption_problems(place))}


if __name__ == "__main__":
    sys.exit(main())
