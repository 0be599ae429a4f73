from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.core.places import find_places
from ml_intern.core.settings import Settings, UISettings
from ml_intern.options import Options
from ml_intern.run import Run
from ml_intern.wiring import Wired, assemble
from tests.support.hub import StandInHub
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.tui.stage import WatchedApp, on_stage


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as served:
        yield served


def app_on(hub: StandInHub, server: ScriptedLLM, directory: Path) -> WatchedApp:
    (directory / "work").mkdir()

    def connect(_options: Options) -> Wired:
        return assemble(
            Run(
                Settings(model_name="vllm/scripted", ui=UISettings(approval_grace_s=0.0)),
                places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
                workspace=directory / "work",
                env={
                    "LOCAL_LLM_BASE_URL": server.url,
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(directory),
                    "HF_ENDPOINT": hub.url,
                    "HF_TOKEN": hub.token,
                },
            )
        )

    return WatchedApp(Options(), connect)


async def test_a_file_is_uploaded_by_command_and_shown_with_what_became_of_it(hub: StandInHub, tmp_path: Path) -> None:
    async with ScriptedLLM(text("Two columns.")) as server, on_stage(app_on(hub, server, tmp_path)) as stage:
        (tmp_path / "work/rows.csv").write_text("text,label\nhello,1\n")
        await stage.sees("vllm/scripted")

        await stage.enter("/upload rows.csv")
        await stage.sees("✓ upload", "rows.csv is in the private data set", "the agent knows how to load it")
        await stage.enter("/upload missing.csv")
        await stage.sees("✗ upload", "Nothing was uploaded:")
        await stage.enter("what is in it?")
        await stage.sees("Two columns.")

        said = [message["content"] for message in server.requests[0].messages if message["role"] == "user"]
        assert any("[Upload by the user]" in content for content in said)


async def test_the_dialog_shows_which_files_a_deletion_takes(hub: StandInHub, tmp_path: Path) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("mia/notes", private=True)
    for name in ("ckpt/1.txt", "ckpt/2.txt", "keep.txt"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo=name, repo_id="mia/notes")
    asked = {"operation": "delete", "repo_id": "mia/notes", "patterns": ["ckpt/*"]}
    async with (
        ScriptedLLM(tools(call("hf_repo_files", asked)), text("gone")) as server,
        on_stage(app_on(hub, server, tmp_path)) as stage,
    ):
        await stage.sees("vllm/scripted")

        await stage.enter("tidy up")
        await stage.sees("ckpt/1.txt", "ckpt/2.txt", "deletes 2 files")
        await stage.press("a")
        await stage.sees("gone")

    assert api.file_exists("mia/notes", "keep.txt")
    assert not api.file_exists("mia/notes", "ckpt/1.txt")
