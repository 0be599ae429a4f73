from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.image_store import ImageStore
from ml_intern.core.images import (
    MAX_BYTES,
    MAX_IMAGES,
    MAX_SIDE,
    ImageError,
    ImageRef,
    kind_of,
    shape_of,
    within_limits,
)
from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    Compact,
    Compacted,
    EventBase,
    ImageFile,
    Notice,
    Steer,
    ToolOutput,
    Undo,
    UndoComplete,
    UserInput,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import Settings
from ml_intern.run import Run
from ml_intern.sessions.exports import FORMATS, export
from ml_intern.sessions.find import sessions_by_prefix
from ml_intern.sessions.image_files import images_in
from ml_intern.sessions.log import read_session
from ml_intern.sessions.restore import restore
from ml_intern.sessions.store import SessionStore
from ml_intern.wiring import assemble
from tests.support.harness import FAST, MODEL, Harness
from tests.support.llm_script import Gate
from tests.support.llm_server import Received, ScriptedLLM, call, error, text, tools
from tests.support.pictures import gif, jpeg, png, webp

BLIND = "openai/gpt-3.5-turbo"
"""The bundled table knows that it takes no images."""


def parts(message: dict[str, Any]) -> list[str]:
    """The parts of a message in short: texts as they are, images as the bytes of their first row."""
    content = message["content"]
    assert isinstance(content, list), content
    return [part["text"] if part["type"] == "text" else part["image_url"]["url"][:40] for part in content]


def shown(request: Received) -> list[bytes]:
    """The images that a request shows."""
    urls = [
        part["image_url"]["url"]
        for message in request.messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    return [base64.b64decode(url.partition(",")[2]) for url in urls]


def plot(agent: Harness, name: str = "plot.png", **size: int) -> Path:
    path = agent.workspace / name
    path.write_bytes(png(**size))
    return path


def asked(text: str, *paths: Path) -> UserInput:
    return UserInput(text=text, images=tuple(ImageFile(path=str(path)) for path in paths))


async def say(agent: Harness, spoken: UserInput) -> list[EventBase]:
    start = len(agent.events)
    agent.submit(spoken)
    await agent.ended(start)
    return agent.events[start:]


# -------------------------------------------------------------------------------------------------- what they are


@pytest.mark.parametrize(
    ("data", "media", "end"),
    [
        (png(8, 6), "image/png", 40),
        (jpeg(8, 6), "image/jpeg", 2),
        (gif(8, 6), "image/gif", 1),
        (webp(8, 6), "image/webp", 1),
    ],
)
def test_an_image_is_known_by_its_bytes(data: bytes, media: str, end: int) -> None:
    shape = shape_of(data, "x")
    assert (shape.media, shape.width, shape.height) == (media, 8, 6)
    assert kind_of(data[:32]) == media
    with pytest.raises(ImageError, match="damaged"):
        shape_of(data[:-end], "x")


def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    store = ImageStore(lambda _: tmp_path / "files")
    for data, reason in (
        (b"hello", "no image that models take"),
        (png(padding=MAX_BYTES + 200_000), r"4\.\d MB, and 3\.9 MB is the most"),
        (png(MAX_SIDE + 1, 1), "8,001×1 pixels"),
        (png(0, 0), "damaged"),
    ):
        with pytest.raises(ImageError, match=reason):
            store.keep("s", "plot.png", data)
    assert not (tmp_path / "files").exists()
    (tmp_path / "sparse.png").touch()
    with pytest.raises(ImageError, match="cannot be read"):
        store.keep_file("s", tmp_path / "missing.png")


def test_a_reference_leads_nowhere_but_to_images_of_the_session(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    store = ImageStore(lambda _: tmp_path / "files")
    kept = store.keep("s", "plot.png", png())
    for file in ("../secret", "/etc/passwd", kept.file.upper(), ""):
        assert store.encode("s", [kept.model_copy(update={"file": file})]) == {}
    lying = kept.model_copy(update={"media": 'image/png","x":"'})
    assert store.encode("s", [lying])[kept.file].startswith("data:image/png;base64,iVBOR")


def test_a_request_holds_the_newest_and_does_not_change_with_every_image() -> None:
    images = [ImageRef(file=f"{n}.png", name="x", media="image/png", width=1, height=1, size=9) for n in range(30)]
    assert within_limits(images[:MAX_IMAGES]) == tuple(images[:MAX_IMAGES])
    first = within_limits(images[: MAX_IMAGES + 1])
    assert first[-1] == images[MAX_IMAGES]
    assert within_limits(images[: MAX_IMAGES + 2])[:-1] == first
    large = [image.model_copy(update={"size": 3_900_000}) for image in images[:8]]
    assert len(within_limits(large)) <= 5


def check_copies(log: Path, image: ImageRef, data: bytes) -> None:
    copy = SessionStore(log.parents[2], Redactor()).fork(log)
    assert restore(copy).records == restore(log).records
    assert [file.read_bytes() for file in copy.with_suffix(".files").iterdir()] == [data]
    assert {name for event in read_session(copy) for name in images_in(event)} == {image.file}
    for form in FORMATS:
        exported = export(log, form, Redactor())
        assert "image plot.png 640×480" in exported.replace("\\", ""), form
        assert ("data:image/png;base64," in exported) == (form == "html")


# ------------------------------------------------------------------------------------------------- from the person


async def test_an_image_goes_to_the_model_and_only_its_name_into_events_and_log(tmp_path: Path) -> None:
    async with ScriptedLLM(text("a curve"), text("still"), text("anew")) as server:
        async with Harness(server, tmp_path) as agent:
            path = plot(agent, width=640, height=480)
            data = path.read_bytes()
            await say(agent, asked("what is this", path, path))
            path.unlink()
            said = agent.request(1).messages[-1]
            assert parts(said)[:2] == ["what is this", "[image plot.png 640×480]"]
            assert shown(agent.request(1)) == [data]
            event = agent.last(UserMessage)
            assert [image.label for image in event.images] == ["[image plot.png 640×480]"]
            await agent.prompt("and now")
            assert agent.request(2).messages[1] == said
            session = agent.agent.session
            [log] = sessions_by_prefix(tmp_path / "home" / "sessions", session.id)
            assert len(log.read_bytes()) < 20_000
            assert [file.read_bytes() for file in log.with_suffix(".files").iterdir()] == [data]
            before = session.context.messages
        check_copies(log, event.images[0], data)
        again = assemble(
            Run(
                Settings(model_name=MODEL, llm=FAST),
                places=find_places({"ML_INTERN_HOME": str(tmp_path / "home")}),
                workspace=tmp_path / "work",
                env={"LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin"},
                saved=restore(log),
            )
        )
        async with Harness.around(again, server) as agent:
            assert agent.agent.session.context.messages == before
            agent.submit(Undo())
            agent.submit(Undo())
            undone = await agent.until(lambda event: isinstance(event, UndoComplete) and event.prompt == "what is this")
            assert undone.images == event.images
            await agent.prompt("other words")
            assert shown(agent.request(3)) == []
        assert server.violations == []


async def test_a_model_without_eyes_is_told_the_names_and_the_person_too(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(
            error(400, "Invalid content type. image_url is only supported by certain models."), repeat_last=False
        ).then(text("I cannot see"), text("yes")) as server,
        Harness(server, tmp_path) as agent,
    ):
        await say(agent, asked("look", plot(agent)))
        assert len(shown(agent.request(1))) == 1
        assert agent.request(2).messages[-1]["content"] == "look\n[image plot.png 8×6: not shown here]"
        assert "takes no images" in agent.last(Notice).text
        assert agent.wired.llm.takes_images(MODEL) is False
        await say(agent, asked("and this", plot(agent, "b.png")))
        assert shown(agent.request(3)) == []
        assert [event.text for event in agent.all(Notice)][-1].endswith("it is told their names only.")
        assert agent.wired.llm.takes_images(BLIND) is False
        assert agent.wired.llm.takes_images("openai/gpt-4o") is True
        assert agent.wired.llm.takes_images("demo/first-run") is False


async def test_an_image_that_a_server_chokes_on_breaks_one_request_and_not_the_conversation(tmp_path: Path) -> None:
    broken = error(400, "messages.3.content.1.image.source.base64.data: Could not process image")
    async with (
        ScriptedLLM(text("fine"), broken, text("left out"), text("go on")) as server,
        Harness(server, tmp_path) as agent,
    ):
        good, bad = plot(agent, "good.png", grey=1), plot(agent, "bad.png", grey=2)
        await say(agent, asked("first", good))
        await say(agent, asked("second", bad))
        assert shown(agent.request(2)) == [good.read_bytes(), bad.read_bytes()]
        assert shown(agent.request(3)) == [good.read_bytes()]
        assert "could not use bad.png" in agent.last(Notice).text
        await agent.prompt("third")
        assert shown(agent.request(4)) == [good.read_bytes()]


async def test_a_missing_or_unfit_file_is_told_and_the_words_go_on(tmp_path: Path) -> None:
    async with ScriptedLLM(text("ok")) as server, Harness(server, tmp_path) as agent:
        (agent.workspace / "notes.png").write_text("no image")
        await say(agent, asked("look", agent.workspace / "notes.png", agent.workspace / "gone.png"))
        assert agent.request(1).messages[-1]["content"] == "look"
        told = [event.text for event in agent.all(Notice)]
        assert ["no image that models take" in told[0], "cannot be read" in told[1]] == [True, True]


async def test_an_image_steers_a_running_turn(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        ScriptedLLM(tools(call("bash", {"command": "true"})).hold(gate), text("seen")) as server,
        Harness(server, tmp_path) as agent,
    ):
        path = plot(agent)
        agent.submit(UserInput(text="begin"))
        await server.wait_for_requests(1)
        agent.submit(Steer(text="look at this", images=(ImageFile(path=str(path), name="curve"),)))
        gate.release()
        await agent.ended()
        assert parts(agent.request(2).messages[-1])[:2] == ["look at this", "[image curve 8×6]"]
        assert agent.last(UserMessage).steered
        assert server.violations == []


async def test_a_compaction_names_old_images_and_keeps_those_of_the_first_and_last_prompt(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(
            *(text(f"seen {n} " + "and thought about it at length " * 150) for n in range(3)),
            text("the summary"),
            text("go"),
        ) as server,
        Harness(server, tmp_path) as agent,
    ):
        for number in range(3):
            await say(
                agent, asked(f"prompt {number}", plot(agent, f"{number}.png", grey=number, width=900, height=900))
            )
        agent.submit(Compact(instructions="short"))
        await agent.until(lambda event: isinstance(event, Compacted))
        assert "[image 1.png 900×900]" in str(agent.request(4).messages[-1]["content"])
        assert shown(agent.request(4)) == []
        await agent.prompt("go on")
        kept = shown(agent.request(5))
        assert kept[0] == (agent.workspace / "0.png").read_bytes()
        assert (agent.workspace / "1.png").read_bytes() not in kept


# --------------------------------------------------------------------------------------------------- from the tools


async def test_a_plot_that_the_agent_reads_follows_the_results_of_its_reply(tmp_path: Path) -> None:
    script = (
        tools(
            call("read", {"path": "plot.png"}), call("read", {"path": "train.py"}), call("read", {"path": "half.png"})
        ),
        text("it falls"),
        text("yes"),
    )
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        data = plot(agent, width=640, height=480).read_bytes()
        (agent.workspace / "train.py").write_text("pass\n")
        (agent.workspace / "half.png").write_bytes(data[:100])
        await agent.prompt("look at the curve")
        told = agent.request(2).messages
        assert [message["role"] for message in told[-4:]] == ["tool", "tool", "tool", "user"]
        assert str(told[-4]["content"]).startswith("[image plot.png 640×480] ")
        assert "damaged" in told[-2]["content"]
        assert parts(told[-1])[1] == "[image plot.png 640×480]"
        assert shown(agent.request(2)) == [data]
        output = next(event for event in agent.all(ToolOutput) if event.images)
        assert output.images[0].width == 640
        await agent.prompt("sure?")
        assert agent.request(3).messages[: len(told)] == told
        assert server.violations == []
