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
    return {}
