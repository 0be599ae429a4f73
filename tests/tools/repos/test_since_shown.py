from __future__ import annotations

from pathlib import Path

import pytest

from ml_intern.tools.repos.files import create_files_tool
from tests.support.hub import StandInHub
from tests.tools.repos.support import afresh, api, assess, client, hub_of_two, make_context, params_of


def put(hub: StandInHub, path: str, content: bytes) -> None:
    api(hub).upload_file(path_or_fileobj=content, path_in_repo=path, repo_id="mia/notes")


@pytest.mark.parametrize("arguments", [{"operation": "upload", "content": "mine"}, {"operation": "delete"}])
async def test_what_was_changed_since_it_was_shown_is_neither_replaced_nor_deleted(
    tmp_path: Path, arguments: dict[str, str]
) -> None:
    with hub_of_two(tmp_path / "hub") as hub:
        afresh(hub, ("mia/notes", True))
        put(hub, "a.txt", b"one")
        tool, (context, _) = create_files_tool(client(hub)), make_context(tmp_path)
        asked = {"repo_id": "mia/notes", "path": "a.txt", **arguments}
        await assess(tool, context, **asked)
        put(hub, "a.txt", b"two")

        refused = await tool.handler(params_of(tool, asked), context)

        assert "a.txt of model mia/notes has been changed" in refused.text
        assert Path(api(hub).hf_hub_download("mia/notes", "a.txt", local_dir=tmp_path)).read_text() == "two"
        await assess(tool, context, **asked)
        put(hub, "b.txt", b"somebody else's")
        assert (await tool.handler(params_of(tool, asked), context)).ok
