"""Hardware to choose from, at prices that change when they are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from ml_intern.core.jobs import Flavor
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.tools.jobs.hardware import hub_flavors


class PriceList:
    """What the hardware picker uses of a place that runs jobs.

    Args:
        today: Prices in dollars per hour that differ from the bundled ones once they were asked for.
    """

    def __init__(self, **today: float) -> None:
        self._flavors = hub_flavors()
        self._today = {name.replace("_", "-"): usd for name, usd in today.items()}

    def flavors(self) -> tuple[Flavor, ...]:
        return self._flavors

    async def refresh(self) -> None:
        self._flavors = tuple(
            replace(flavor, usd_per_hour=self._today.get(flavor.name, flavor.usd_per_hour)) for flavor in self._flavors
        )


def price_list(**today: float) -> JobsBackend:
    return cast("JobsBackend", PriceList(**today))
