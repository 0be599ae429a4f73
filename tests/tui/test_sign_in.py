from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ml_intern.core.env import load_env
from ml_intern.core.keyfile import FILE, save_key
from ml_intern.core.llm.providers import KEY_VARIABLES
from ml_intern.core.places import find_places
from ml_intern.options import Options
from ml_intern.services.sign_in import KEYS, check_key
from ml_intern.tui.messages import KeyKept
from ml_intern.wiring import Wired, build
from tests.support.llm_server import ScriptedLLM, text
from tests.tui.stage import Stage, WatchedApp, on_stage

GOOD = "hf_" + "a" * 34
ANSWERS = {
    f"Bearer {GOOD}": (200, {"name": "ada", "isPro": True, "auth": {"accessToken": {"role": "read"}}}),
    "Bearer odd": (503, {}),
}


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, _, rest = head.partition("\r\n")
    headers = dict(pair.split(": ", 1) for pair in rest.strip().split("\r\n"))
    key = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
    status, answer = ANSWERS.get(key, (401, {"error": "no"})) if "whoami" in line else (404, {})
    body = json.dumps(answer).encode()
    writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()


@asynccontextmanager
async def hub() -> AsyncIterator[str]:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def first_run(directory: Path, endpoint: str, model_server: str = "") -> WatchedApp:
    """The app on a machine where nothing is set up."""
    workdir = directory / "work"
    workdir.mkdir(exist_ok=True)
    env = {
        "ML_INTERN_HOME": str(directory / "home"),
        "HOME": str(directory),
        "HF_HOME": str(directory / "hf"),
        "PATH": "/usr/bin:/bin",
        "HF_ENDPOINT": endpoint,
        "HF_ROUTER_BASE_URL": f"{model_server}/v1",
        **dict.fromkeys(("OLLAMA_BASE_URL", "VLLM_BASE_URL", "LMSTUDIO_BASE_URL", "LLAMACPP_BASE_URL"), endpoint),
    }

    def connect(options: Options) -> Wired:
        return build(options, env)

    return WatchedApp(Options(workdir=workdir), connect)


async def offered(stage: Stage) -> None:
    await stage.sees("paste a Hugging Face token", "/practice")
    await stage.press("enter")
    await stage.sees("sign in", "1   Hugging Face", "2   Anthropic")


async def test_a_token_is_checked_kept_and_used_at_once(tmp_path: Path) -> None:
    with ScriptedLLM(text("pong"), text("Hello Ada.")) as server:
        async with hub() as endpoint, on_stage(first_run(tmp_path, endpoint, server.url)) as stage:
            await offered(stage)
            await stage.press("1")
            await stage.sees("huggingface.co/settings/tokens")
            await stage.type("hf_wrong")
            assert "hf_wrong" not in stage.screen
            await stage.press("enter")
            await stage.sees("✗ Hugging Face does not know this key")
            await stage.press("ctrl+s")  # keeps nothing that is known to be wrong
            await stage.press(*["backspace"] * 8)
            await stage.type(GOOD)
            await stage.press("enter")
            await stage.sees("Signed in as ada, PRO. It only reads")
            kept = tmp_path / "home" / "config" / FILE
            assert kept.read_text() == f"HF_TOKEN='{GOOD}'\n"
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
            await stage.sees("anthropic/claude")  # the usual model, over the router
            await stage.enter("/model org/model")
            await stage.sees("org/model")
            config = tmp_path / "home" / "config" / "cli_agent_config.json"
            await stage.until(config.exists, "the model to be kept")
            assert json.loads(config.read_text())["model_name"] == "org/model"
            await stage.enter("hi")
            await stage.sees("Hello Ada.")
            assert server.requests[-1].headers["authorization"] == f"Bearer {GOOD}"


async def test_offline_is_not_invalid_and_esc_leaves_everything_as_it_was(tmp_path: Path) -> None:
    async with hub() as endpoint:
        gone = endpoint
    async with on_stage(first_run(tmp_path, gone), size=(60, 20)) as stage:
        await offered(stage)
        assert all(row[2].isdigit() for row in stage.screen.split("\n") if "models" in row or "GitHub" in row)
        await stage.press("enter")
        await stage.type(GOOD)
        await stage.press("enter")
        await stage.sees("cannot be reached", "keep it unchecked")
        await stage.press("escape")
        await stage.sees("2   Anthropic")
        await stage.press("escape")
        await stage.sees_no_more("2   Anthropic")
        assert not (tmp_path / "home" / "config" / FILE).exists()
        await offered(stage)
        await stage.press("enter")
        await stage.type(GOOD)
        await stage.press("enter")
        await stage.sees("keep it unchecked")
        await stage.press("ctrl+s")
        await stage.until((tmp_path / "home" / "config" / FILE).exists, "the token to be kept")
    stage.app._use_key(KeyKept())  # as when the app is left at the moment when the key is kept


async def test_an_answer_that_says_nothing_of_the_key_is_told_as_that() -> None:
    async with hub() as endpoint:
        verdict = await check_key(KEYS[0], "odd", {"HF_ENDPOINT": endpoint})
        assert (verdict.state, "HTTP 503" in verdict.text) == ("unclear", True)
        for key in KEYS:
            assert key.variable in {
                "HF_TOKEN",
                "GITHUB_TOKEN",
                *(name for names in KEY_VARIABLES.values() for name in names),
            }


@pytest.mark.parametrize("value", ["it's", "a\\b", "x # y", '"q"'])
def test_kept_keys_come_last_and_come_back_as_they_were(tmp_path: Path, value: str) -> None:
    env = {"ML_INTERN_HOME": str(tmp_path)}
    places = find_places(env)
    save_key(places, "OPENAI_API_KEY", value)
    kept = (places.config / FILE).rename(tmp_path / "dotfiles")
    (places.config / FILE).symlink_to(kept)
    save_key(places, "HF_TOKEN", "kept")
    assert (places.config / FILE).readlink() == kept
    assert kept.stat().st_mode & 0o777 == 0o600
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".env").write_text("HF_TOKEN=of the project\n")
    loaded = load_env(tmp_path / "work", env)
    assert loaded.values["OPENAI_API_KEY"] == value
    assert loaded.values["HF_TOKEN"] == "of the project"
    assert loaded.sources["OPENAI_API_KEY"].name == FILE
    for bad in ("", "two\nlines", "${HOME}"):
        with pytest.raises(ValueError, match="not a key"):
            save_key(places, "HF_TOKEN", bad)
