"""The areas of the stand-in Hub, each a class with `routes()` and `stop()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from starlette.routing import BaseRoute

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub


class Area(Protocol):
    """A part of the Hub."""

    def routes(self) -> Sequence[BaseRoute]:
        """What it answers."""
        ...

    def stop(self) -> None:
        """Ends what it has running."""
        ...


def create(hub: StandInHub) -> dict[str, Area]:
    """All areas, by name."""
    from tests.support.hub.buckets import Buckets
    from tests.support.hub.collections import Collections
    from tests.support.hub.hardware import HardwareList
    from tests.support.hub.jobs import Jobs
    from tests.support.hub.repos import Repos
    from tests.support.hub.repos_store import Store
    from tests.support.hub.sandboxes import Sandboxes
    from tests.support.hub.schedules import Schedules

    hardware = HardwareList()
    store = Store(hub.root)
    buckets = Buckets(hub, store)
    jobs = Jobs(hub, hardware)
    return {
        "hardware": hardware,
        "jobs": jobs,
        "schedules": Schedules(hub, jobs),
        "sandboxes": Sandboxes(hub, jobs),
        "buckets": buckets,
        "collections": Collections(hub, store),
        "repos": Repos(hub, hardware, store, buckets),
    }
