"""What a screen may do with the artifacts of the running session: look them up on the Hub, and delete them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ml_intern.core.artifacts import ArtifactError, Artifacts
from ml_intern.core.protocol import ArtifactEvent, EventBase
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.repos.artifacts import ArtifactRow, delete_artifact, list_artifacts


class ArtifactDesk:
    """The artifacts of a session, for a person to look after.

    Args:
        hub: The way to the Hub.
        artifacts: Gives what the running session knows.
        emit: Tells of what was deleted.
    """

    def __init__(self, hub: HubClient, artifacts: Callable[[], Artifacts], emit: Callable[[EventBase], object]) -> None:
        self._hub = hub
        self._artifacts = artifacts
        self._emit = emit

    async def look(self, items: Sequence[ArtifactEvent]) -> list[ArtifactRow]:
        """How artifacts are on the Hub now, in the order given."""
        return await list_artifacts(self._hub, items)

    async def delete(self, item: ArtifactEvent) -> ArtifactEvent:
        """Deletes one for good.

        Raises:
            ArtifactError: It is still there, or nothing that can be deleted.
        """
        try:
            gone = await delete_artifact(self._hub, item)
        except HubError as error:
            raise ArtifactError(str(error)) from error
        self._artifacts().take(gone)
        self._emit(gone)
        return gone
