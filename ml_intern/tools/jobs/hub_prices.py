"""What hardware the Hub offers and what it costs today; the bundled list where nobody can be asked."""

from __future__ import annotations

import asyncio
import difflib
import logging
import math
import time
from collections.abc import Callable

from ml_intern.core.approvals.effects import Cost
from ml_intern.core.jobs import Flavor, JobsError, duration_text
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.jobs.hardware import hub_flavors
from ml_intern.tools.jobs.hub_info import flavor_of

log = logging.getLogger(__name__)

FRESH_S = 4 * 3600.0
_ASK_AGAIN_S = 120.0
_PATIENCE_S = 5.0
DEFAULT_FLAVOR = "cpu-basic"


def _price(flavor: Flavor) -> float:
    return math.inf if flavor.usd_per_hour is None else flavor.usd_per_hour


class PriceList:
    """The hardware on offer. Looking never waits; `refresh` asks when what is known is old.

    Args:
        hub: The way to the Hub.
        clock: Monotonic seconds.

    Attributes:
        live: Whether the prices are the Hub's own.
    """

    def __init__(self, hub: HubClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.live = False
        self._hub = hub
        self._clock = clock
        self._flavors = hub_flavors()
        self._next = 0.0
        self._asking = asyncio.Lock()

    async def refresh(self) -> None:
        """Asks the Hub, unless it was asked lately. Keeps what is known on failure."""
        async with self._asking:
            if self._next and self._clock() < self._next:
                return
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    found = await self._hub.call(lambda api: [flavor_of(item) for item in api.list_jobs_hardware()])
            except (HubError, TimeoutError) as error:
                log.info("the hardware of the Hub cannot be listed: %s", error)
                found = []
            if found:
                self._flavors = tuple(sorted(found, key=_price))
                self.live = True
            self._next = self._clock() + (FRESH_S if found else _ASK_AGAIN_S)

    def flavors(self) -> tuple[Flavor, ...]:
        """All of it, the cheapest first."""
        return self._flavors

    def find(self, name: str) -> Flavor:
        """The hardware of this name, or the default for an empty one.

        Raises:
            JobsError: There is none; the text names those there are.
        """
        wanted = name.strip().lower() or DEFAULT_FLAVOR
        known = {flavor.name: flavor for flavor in self._flavors}
        if wanted in known:
            return known[wanted]
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise JobsError(f"There is no hardware flavor {name!r}. {hint}Valid: {', '.join(known)}.")

    def estimate(self, flavor: Flavor, timeout_s: float) -> Cost:
        """What a job costs at most; waiting for hardware costs nothing."""
        price = flavor.usd_per_hour
        if price is None:
            return Cost(None, f"the price of {flavor.name} is unknown")
        about = "" if self.live else "; list price, may have changed"
        note = f"${price:.2f}/h for {duration_text(timeout_s)}{about}"
        return Cost(round(price * timeout_s / 3600, 6), note)
