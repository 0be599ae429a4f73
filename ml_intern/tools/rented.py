"""Jobs and sandboxes of this program as the Hub knows them, found by their labels whoever started them from where."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from ml_intern.core import labels
from ml_intern.core.jobs import ACTIVE_STAGES, Flavor
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.jobs.hardware import hub_flavors

if TYPE_CHECKING:
    from huggingface_hub import HfApi, JobInfo

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rented:
    """One job or sandbox on the Hub.

    Attributes:
        id: The Hub's id.
        namespace: Who pays.
        kind: A sandbox is a job of its own kind.
        session_id: The session that started it, or empty.
        ref: Its name in that session's ledger.
        flavor: Its hardware.
        stage: Where it stands.
        created_at: When it was asked for.
        ran_s: Seconds it has run so far, or had run when it ended.
        url: Where a browser shows it.
        title: What it is for, or empty.
        labels: All its labels.
    """

    id: str
    namespace: str
    kind: Literal["job", "sandbox"]
    session_id: str
    ref: str
    flavor: str
    stage: str
    created_at: datetime | None
    ran_s: float
    url: str
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.stage in ACTIVE_STAGES


def rented_from(info: JobInfo) -> Rented:
    """What the official client knows of a job, in our terms."""
    found = dict(info.labels or {})
    sandbox = found.get(labels.SANDBOX, "")
    is_sandbox = bool(sandbox) or found.get("hf-sandbox") == "1"
    return Rented(
        id=info.id,
        namespace=info.owner.name,
        kind="sandbox" if is_sandbox else "job",
        session_id=found.get(labels.SESSION, ""),
        ref=sandbox or info.id,
        flavor=str(getattr(info.flavor, "value", info.flavor) or ""),
        stage=str(getattr(info.status.stage, "value", info.status.stage)),
        created_at=info.created_at,
        ran_s=_ran_s(info),
        url=info.url,
        title=found.get("name", ""),
        labels=found,
    )


def _ran_s(info: JobInfo) -> float:
    if info.started_at is None:
        return float((info.durations and info.durations.running_secs) or 0)
    return max(0.0, ((info.finished_at or datetime.now(UTC)) - info.started_at).total_seconds())


async def list_rented(
    hub: HubClient, wanted: Mapping[str, str], *, namespaces: Iterable[str] = (), active: bool = False
) -> list[Rented]:
    """Jobs and sandboxes that carry all of these labels, the newest first.

    Args:
        hub: The way to the Hub.
        wanted: Labels.
        namespaces: Where to look; everywhere the token's owner may by default.
        active: Only those that wait or run.

    Raises:
        HubError: There is no token, or nothing could be listed.
    """
    places = tuple(namespaces) or (await hub.account()).namespaces
    stages = sorted(ACTIVE_STAGES) if active else None
    found: list[Rented] = []
    refused: HubError | None = None
    for place in places:

        def look(api: HfApi, place: str = place) -> list[Rented]:
            return [rented_from(info) for info in api.list_jobs(status=stages, labels=dict(wanted), namespace=place)]

        try:
            found += await hub.call(look)
        except HubError as error:
            # Not every member of an organisation may see its jobs; one closed door says nothing about the others.
            if error.kind not in {"forbidden", "missing"}:
                raise
            log.info("jobs of %s cannot be listed: %s", place, error)
            refused = error
    if refused is not None and len(places) == 1:
        raise refused
    # Servers that do not know a filter ignore it.
    ours = [item for item in found if all(item.labels.get(name) == value for name, value in wanted.items())]
    ours = [item for item in ours if item.active or not active]
    return sorted(ours, key=lambda item: item.created_at or datetime.min.replace(tzinfo=UTC), reverse=True)


async def inspect_rented(hub: HubClient, job_id: str, namespace: str) -> Rented:
    """One job as it stands now.

    Raises:
        HubError: It cannot be told.
    """
    return await hub.call(lambda api: rented_from(api.inspect_job(job_id=job_id, namespace=namespace)))


async def cancel_rented(hub: HubClient, job_id: str, namespace: str) -> None:
    """Ends a job or a sandbox. One that is gone already is no error.

    Raises:
        HubError: It could not be ended.
    """
    try:
        await hub.call(lambda api: api.cancel_job(job_id=job_id, namespace=namespace))
    except HubError as error:
        if error.kind != "missing":
            raise


def rentable(jobs: JobsBackend) -> tuple[Flavor, ...]:
    """Hardware on the Hub with its prices: today's where jobs go there, else the bundled list. Never waits."""
    if jobs.name != "hub":
        return hub_flavors()
    found = tuple(item for item in jobs.flavors() if not item.runs_on and ":" not in item.name)
    return found or hub_flavors()
