"""Streams of the Hub: the log of a job, and how busy it is.

The official client follows logs too, but it counts every cut of the connection against a job, however long it runs,
and waits longer after each: a training of ten hours outlives that. Here a stream simply ends, and whoever follows it
goes on.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ml_intern.core.jobs import JobRef
from ml_intern.tools.jobs.log_lines import clean_text

if TYPE_CHECKING:
    import httpx
    from huggingface_hub import HfApi

SILENCE_S = 120.0
"""The Hub sends a sign of life every 30 seconds: a stream that is silent for longer than this is dead."""

_TAIL_SILENCE_S = 2.0
"""What is in a log already comes at once."""
_METRICS_SILENCE_S = 15.0
_CONNECT_S = 20.0
_FIRST_LINE = "===== Job started"
_LONGEST_EVENT = 4_000_000


def log_lines(api: HfApi, job: JobRef) -> Iterator[list[str]]:
    """Lines of a log from its beginning, in the batches they come in, until it ends.

    Raises:
        Exception: As the client's calls do; also when the stream breaks off.
    """
    for events in _events(api, job, SILENCE_S):
        if lines := _lines(events):
            yield lines


def measurements(api: HfApi, job: JobRef) -> Iterator[dict[str, Any]]:
    """How busy a running job is, about once a second. The stream goes silent when the job ends.

    Raises:
        Exception: As the client's calls do; also when the stream breaks off.
    """
    import httpx

    with contextlib.suppress(httpx.ReadTimeout):
        for events in _events(api, job, _METRICS_SILENCE_S, route="metrics"):
            yield from events


def last_lines(api: HfApi, job: JobRef, count: int) -> tuple[str, ...]:
    """The last lines that are in a log now."""
    kept: deque[str] = deque(maxlen=count)
    seen, asked = 0, count + 1  # the line that says that the job started counts for the Hub
    import httpx

    with contextlib.suppress(httpx.ReadTimeout):  # the log goes on, but nothing more is in it now
        for events in _events(api, job, _TAIL_SILENCE_S, {"tail": asked}):
            kept.extend(_lines(events))
            seen += len(events)
            if seen >= asked:
                break
    return tuple(kept)


def _events(
    api: HfApi, job: JobRef, silence_s: float, params: dict[str, Any] | None = None, route: str = "logs"
) -> Iterator[list[dict[str, Any]]]:
    import httpx
    from huggingface_hub import get_session, hf_raise_for_status

    url = f"{api.endpoint}/api/jobs/{job.namespace}/{job.id}/{route}"
    headers = {"Authorization": f"Bearer {api.token}"}
    limits = httpx.Timeout(_CONNECT_S, read=silence_s)
    with get_session().stream("GET", url, headers=headers, params=params, timeout=limits) as response:
        if response.status_code != 200:
            response.read()
            hf_raise_for_status(response)
        yield from _parsed(response)


def _parsed(response: httpx.Response) -> Iterator[list[dict[str, Any]]]:
    rest = b""
    for chunk in response.iter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        events = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
        if events:
            yield events
        if len(rest) > _LONGEST_EVENT:
            rest = b""  # no line of a log: a server that sends without end must not fill the memory


def _lines(events: list[dict[str, Any]]) -> list[str]:
    texts = (str(event.get("data", "")) for event in events)
    return [clean_text(text.rstrip("\n")) for text in texts if not text.startswith(_FIRST_LINE)]
