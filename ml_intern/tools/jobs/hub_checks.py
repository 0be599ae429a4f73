"""What only the Hub can tell about a job before it is approved: where it pushes to, and what its dashboard is."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.jobs.prepare import Check

if TYPE_CHECKING:
    from huggingface_hub import HfApi

log = logging.getLogger(__name__)

PATIENCE_S = 8.0

SpaceState = Literal["missing", "dashboard", "other", "unknown"]

_DASHBOARD = {
    "app.py": b"import trackio\n\ntrackio.show()\n",
    "requirements.txt": b"trackio\n",
    "README.md": b"---\ntitle: Training metrics\nsdk: gradio\napp_file: app.py\ntags:\n- trackio\n---\n",
}


async def check_push_target(hub: HubClient, target: str) -> list[Check]:
    """Whether a script may push to where it wants to."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            account = await hub.account()
            owner, _, name = target.rpartition("/")
            if owner and owner not in account.namespaces:
                allowed = ", ".join(account.namespaces)
                return [(False, f"pushes to {target}, but the token may write for {allowed} only: push there")]
            full = target if owner else f"{account.name}/{name}"
            there = await hub.call(lambda api: api.repo_exists(full))
    except (HubError, TimeoutError) as error:
        log.info("the push target %s could not be looked at: %s", target, error)
        return [(True, f"pushes to {target}")]
    return [(True, f"pushes to {full}, which exists" if there else f"pushes to {full}, which will be made")]


async def look_at_space(hub: HubClient, space_id: str) -> SpaceState:
    """What the Space is that metrics are to be sent to."""

    def look(api: HfApi) -> SpaceState:
        if not api.repo_exists(space_id, repo_type="space"):
            return "missing"
        if not api.file_exists(space_id, "app.py", repo_type="space"):
            return "other"
        path = api.hf_hub_download(space_id, "app.py", repo_type="space")
        return "dashboard" if "trackio" in Path(path).read_text("utf-8", errors="replace") else "other"

    try:
        async with asyncio.timeout(PATIENCE_S):
            return await hub.call(look)
    except (HubError, TimeoutError) as error:
        log.info("the Space %s could not be looked at: %s", space_id, error)
        return "unknown"


def space_check(space_id: str, state: SpaceState) -> Check:
    """What a person should know about it."""
    words = {
        "missing": (True, f"the dashboard {space_id} does not exist yet: a private one is made"),
        "dashboard": (True, f"metrics go to the dashboard {space_id}"),
        "other": (False, f"the Space {space_id} is no trackio dashboard: it stays as it is, and metrics may get lost"),
        "unknown": (False, f"what the Space {space_id} is could not be found out; it stays as it is"),
    }
    return words[state]


async def make_dashboard(hub: HubClient, space_id: str) -> str:
    """Makes a private trackio dashboard where no Space is. Returns what the model should know of it.

    Never touches a Space that exists. A failure does not stand in the way of the job.
    """
    state = await look_at_space(hub, space_id)
    if state != "missing":
        return "" if state == "dashboard" else f"Trackio: {space_check(space_id, state)[1]}."

    def make(api: HfApi) -> None:
        from huggingface_hub import CommitOperationAdd

        api.create_repo(space_id, repo_type="space", space_sdk="gradio", private=True)
        files = [CommitOperationAdd(path, content) for path, content in _DASHBOARD.items()]
        api.create_commit(space_id, files, commit_message="Add a trackio dashboard", repo_type="space")

    try:
        await hub.call(make)
    except HubError as error:
        return f"The dashboard {space_id} could not be made: {error}"
    return f"The private dashboard {hub.web_url(space_id, 'space')} was made."
