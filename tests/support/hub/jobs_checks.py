"""What the Hub refuses in requests about jobs, and small readings of them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from starlette.requests import Request

from tests.support.hub.server import HubFailure, Person

_LABEL = re.compile(r"[A-Za-z0-9._-]{0,100}")


def check_job(spec: Mapping[str, Any], flavors: Collection[str]) -> None:
    """Refuses what is no description of a job.

    Raises:
        HubFailure: With status 400 and the reason.
    """
    command = spec.get("command")
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        raise HubFailure(400, "Invalid job: command must be a non-empty list of strings")
    if bool(spec.get("dockerImage")) == bool(spec.get("spaceId")):
        raise HubFailure(400, "Invalid job: give either dockerImage or spaceId")
    flavor = spec.get("flavor", "cpu-basic")
    if flavor not in flavors:
        raise HubFailure(400, f"Invalid job: unknown flavor {flavor!r}")
    timeout = spec.get("timeoutSeconds", 1)
    if not isinstance(timeout, int) or timeout < 1:
        raise HubFailure(400, "Invalid job: timeoutSeconds must be a positive integer")
    for volume in spec.get("volumes") or []:
        if not str(volume.get("mountPath", "")).startswith("/") or not volume.get("source"):
            raise HubFailure(400, "Invalid job: a volume needs a source and an absolute mountPath")
    check_labels(spec.get("labels") or {})


def check_labels(labels: Mapping[str, Any]) -> None:
    """Refuses labels that nobody could filter by.

    Raises:
        HubFailure: With status 400.
    """
    for part in (*labels, *labels.values()):
        if not isinstance(part, str) or not _LABEL.fullmatch(part):
            raise HubFailure(400, f"Invalid label {part!r}: up to 100 letters, digits, dots, dashes, underscores")


def has_labels(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """Whether labels hold every `key=value`."""
    return all(labels.get(key) == value for key, _, value in (item.partition("=") for item in wanted))


def owner(person: Person, namespace: str) -> dict[str, str]:
    """A namespace as jobs name it."""
    return {"id": namespace, "name": namespace, "type": "user" if namespace == person.name else "org"}


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        HubFailure: It is something else.
    """
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise HubFailure(400, "The body must be a JSON object")
    return body
