from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from ml_intern.core.display import DatasetBlock, DatasetColumn, DatasetFit
from ml_intern.core.previews import PreviewError
from ml_intern.core.protocol import EventBase, SubagentEvent, ToolCallEvent, ToolOutput, ToolStateChange
from ml_intern.tui.commands import UsageError, parse
from ml_intern.tui.messages import ShowDataset
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.tui.playback import played_app
from tests.tui.stage import Stage, on_stage, real_app

CHAT = [
    {"role": "user", "content": "How high is\nthe moss? [red]"},
    {"role": "assistant", "content": "Three 寸.", "weight": 1},
]
NOTES = DatasetBlock(
    name="ada/notes",
    part="default/train",
    url="https://hub.example/datasets/ada/notes",
    facts=("licence mit", "gated (manual)", "1,234 downloads"),
    row_count=4212,
    splits=(("default/train", "4,212 rows", "3.1 MB"), ("default/test", "400 rows", "0.3 MB")),
    fits=(
        DatasetFit(method="SFT", fits=True, reason="messages with role and content"),
        DatasetFit(method="GRPO", fits=None, reason="rename messages to prompt"),
        DatasetFit(method="DPO", fits=False, reason="needs chosen and rejected"),
    ),
    columns=(
        DatasetColumn(
            name="length",
            kind="int64",
            facts="12 missing (0.3 %); 1 to 30, mean 9",
            counts=(30, 0, 15),
            edges=(1, 11, 21, 30),
        ),
        DatasetColumn(name="messages", kind="list of {role: string, content: string}", facts="none missing"),
        DatasetColumn(name="mood", kind="label (2 classes)", values=(("calm", 3000), ("wild", 1212)), distinct=2),
        *(DatasetColumn(name=f"extra_{number}", kind="string") for number in range(12)),
    ),
    rows=tuple(
        (
            str(number),
            json.dumps(CHAT),
            "\x1b[31mcalm\x07" if number else None,
            *["", *[f"a cell of row {number}"] * 11],
        )
        for number in range(30)
    ),
    notes=("In the first 30 rows: 2 repeat others", "Missing here, its statistics: are still being worked out"),
)
"""A data set with what is hard to show: chats, escape sequences, wide letters, nothing at all, many columns."""


def inspected(block: DatasetBlock = NOTES, call_id: str = "1") -> list[EventBase]:
    tool, said = "hf_inspect_dataset", "ada/notes  https://hub.example\nlicence mit"
    return [
        ToolCallEvent(tool=tool, arguments={"dataset": block.name}, tool_call_id=call_id),
        ToolStateChange(tool=tool, tool_call_id=call_id, state="running"),
        ToolOutput(tool=tool, tool_call_id=call_id, output=said, success=True, display=(block,)),
        ToolStateChange(tool=tool, tool_call_id=call_id, state="completed"),
    ]


@asynccontextmanager
async def opened(
    directory: Path, size: tuple[int, int] = (160, 45), block: DatasetBlock = NOTES
) -> AsyncIterator[Stage]:
    app, agents = played_app(directory)
    async with on_stage(app, size) as stage:
        await stage.until(lambda: bool(agents), "the agent")
        await stage.sees("claude-opus")
        agents[0].events.play(*inspected(block))
        await stage.until(lambda: bool(stage.app.main_screen._tools.chosen), "the call")
        stage.app.main_screen.query_one("#tool-list").focus()
        await stage.press("enter")
        await stage.sees("data set · ada/notes · default/train")
        yield stage


async def test_enter_on_its_call_shows_what_it_is_what_it_fits_and_its_columns(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        await stage.sees("data set · ada/notes · default/train · 4,212 rows")
        await stage.sees("licence mit · gated (manual) · 1,234 downloads", "✓ SFT   ~ GRPO   ✗ DPO")
        await stage.sees("1 columns 15   2 rows 30   3 about")
        assert "12 missing (0.3 %); 1 to 30, mean 9" in stage.row("length ")
        assert stage.row("length ").rstrip("│ ").endswith("█ ▅")
        assert "label (2 classes)" in stage.row("mood ")
        await stage.sees("1 to 11", "30  66.7 %", "15  33.3 %")  # the chosen column, as a histogram
        await stage.press("down", "down")
        await stage.sees("calm  ████", "3,000  71.2 %", "1,212  28.8 %")
        await stage.press("3")
        await stage.sees("✓ SFT fits: messages with role and content", "~ GRPO fits after a change: rename messages")
        await stage.sees(
            "default/test", "400 rows", "In the first 30 rows: 2 repeat others", "its statistics: are still"
        )
        await stage.press("o")
        assert stage.app.opened == ["https://hub.example/datasets/ada/notes"]
        await stage.press("v")
        await stage.sees("1 all", '"dataset": "ada/notes"', "licence mit")
        await stage.press("escape")
        await stage.sees("3 about")
        await stage.press("escape")
        await stage.sees_no_more("3 about")


async def test_a_cell_is_seen_as_a_whole_and_columns_beyond_the_edge_are_reached(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        await stage.press("tab")
        await stage.sees("row 1 of 30 · int64")
        assert "extra_11" not in stage.screen
        await stage.press("right", "down")
        await stage.sees(
            "row 2 of 30 · list of {role", "  How high is", "  the moss? [red]", "  Three 寸.", "  weight: 1"
        )
        await stage.press("f1")
        await stage.sees("1-9 ", "the row or tab of that number", "the next column, in its rows")
        await stage.press("escape", "enter")
        await stage.sees_no_more("mood")
        await stage.sees("user", "assistant", "↑↓ scroll")
        await stage.press("c", "escape")
        await stage.sees("mood")
        await stage.press(*["right"] * 20)
        await stage.sees("‹", "extra_11", "row 2 of 30 · string")
        assert "length" not in stage.screen
        await stage.press(*["left"] * 20, "home")
        await stage.sees("length", "row 1 of 30 · int64")
        await stage.press("end")
        await stage.sees("row 30 of 30")


async def test_what_is_not_there_is_told_from_what_is_empty_and_nothing_reaches_the_terminal(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        await stage.press("2")
        await stage.sees("null", "(empty)", "calm")
        assert "\x1b" not in stage.screen
        assert "\x07" not in stage.screen


async def test_numbers_are_rounded_in_the_table_and_exact_below_it(tmp_path: Path) -> None:
    kinds = {"loss": "float64", "id": "int64", "text": "string"}
    row = ("-1.2345678901234567e-05", "9007199254740993001", "1.2345678901234567e-05")
    numbers = NOTES.model_copy(
        update={"columns": tuple(DatasetColumn(name=name, kind=kind) for name, kind in kinds.items()), "rows": (row,)}
    )
    async with opened(tmp_path, block=numbers) as stage:
        await stage.press("2")
        await stage.sees(" -1.23457e-05  9007199254740993001  1.2345678901234567e-05", " -1.2345678901234567e-05 ")


async def test_a_small_data_set_leaves_no_gap_and_cuts_nothing_that_has_room(tmp_path: Path) -> None:
    columns = tuple(DatasetColumn(name=name, kind="string") for name in ("topic", "message"))
    said = "a message of more than sixty letters, so that a narrower column would have cut it off"
    small = NOTES.model_copy(update={"columns": columns, "rows": (("data", said),)})
    async with opened(tmp_path, (120, 40), block=small) as stage:
        for view, last in (("1", "message"), ("2", said)):
            await stage.press(view)
            await stage.sees(last)
            rows = [row.strip("│ ") for row in stage.screen.split("\n")]
            at = next(number for number, row in enumerate(rows) if last in row)
            assert rows[at + 1] == ""
            assert rows[at + 2].startswith("topic")


@pytest.mark.parametrize("size", [(60, 20), (100, 30)])
async def test_small_terminals_show_the_same(tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(tmp_path, size) as stage:
        await stage.sees("✓ SFT   ~ GRPO   ✗ DPO", "length", "esc back")
        await stage.press("2", "right")
        await stage.sees("messages", "›")
        await stage.press("enter")
        await stage.sees("  How high is", "  Three 寸.")
        await stage.press("escape", "3")
        await stage.sees("training", "✗ DPO does not fit")


async def test_a_data_set_of_which_nothing_is_known_is_no_empty_screen(tmp_path: Path) -> None:
    bare = NOTES.model_copy(update={"columns": (), "rows": (), "splits": (), "row_count": None})
    async with opened(tmp_path, block=bare) as stage:
        await stage.sees("rows not counted", "Missing here, its statistics")
        await stage.press("1", "enter", "2", "enter", "right", "down", "c", "escape", "escape")
        await stage.sees_no_more("3 about")


async def test_a_researchers_data_set_is_in_its_transcript(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (160, 45)) as stage:
        await stage.sees("claude-opus")
        nested = [SubagentEvent(agent_id="r1", event=event) for event in inspected(call_id="n1")]
        call_event = ToolCallEvent(tool="research", arguments={"task": "look at notes"}, tool_call_id="r1")
        agents[0].events.play(call_event, *nested)
        await stage.sees("look at notes")
        await stage.press("ctrl+o")
        await stage.sees("4 transcript")
        await stage.press("home")
        await stage.sees("ada/notes · default/train · 4,212 rows", "✓ SFT   ~ GRPO")


# ------------------------------------------------------------------------------------------------------- on request


class Viewer:
    """Looks into data sets for a person: says what it does, and ends as it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.answers: asyncio.Queue[DatasetBlock | Exception] = asyncio.Queue()
        self.given_up = False

    async def __call__(self, name: str, config: str, split: str, progress: Callable[[str], None]) -> DatasetBlock:
        self.asked.append((name, config, split))
        progress(f"asking for {name}")
        try:
            answer = await self.answers.get()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_person_asks_for_any_data_set_sees_what_is_done_and_tries_again(tmp_path: Path) -> None:
    viewer = Viewer()
    app, _ = played_app(tmp_path, preview_dataset=viewer)
    async with on_stage(app, (100, 30)) as stage:
        await stage.sees("claude-opus")
        await stage.enter("/dataset ada/notes special 'my split'")
        await stage.sees("data set · ada/notes", "asking for ada/notes", "esc back")
        await stage.press("1", "2", "tab", "enter", "c", "o", "v")  # nothing is there yet
        viewer.answers.put_nowait(PreviewError("ada/notes cannot be looked into: it is [gated]. Ask for access."))
        await stage.sees("it is [gated]. Ask for access.", "r try again")
        await stage.press("r")
        await stage.sees("asking for ada/notes")
        viewer.answers.put_nowait(NOTES)
        await stage.sees("default/train · 4,212 rows", "✓ SFT", "1 columns 15")
        assert "try again" not in stage.screen
        assert viewer.asked == [("ada/notes", "special", "my split")] * 2
        await stage.press("escape")
        await stage.sees_no_more("1 columns 15")


async def test_leaving_while_it_is_looked_into_ends_the_looking(tmp_path: Path) -> None:
    viewer = Viewer()
    app, _ = played_app(tmp_path, preview_dataset=viewer)
    async with on_stage(app, (100, 30)) as stage:
        await stage.sees("claude-opus")
        await stage.enter("/dataset ada/notes")
        await stage.sees("asking for ada/notes")
        await stage.press("escape")
        await stage.sees_no_more("asking for ada/notes")
        await stage.until(lambda: viewer.given_up, "the end of the looking")


@pytest.mark.parametrize("typed", ["/dataset", "/dataset a b c d", "/dataset 'open"])
def test_a_wrong_request_is_told_how_to_be_right(typed: str) -> None:
    entered = parse(typed)
    assert entered.command is not None
    with pytest.raises(UsageError, match="Name a data set of the Hub or a data file"):
        entered.command.make(entered.text)


def test_a_path_with_spaces_is_quoted() -> None:
    entered = parse("/dataset 'my data/a.csv'")
    assert entered.command is not None
    made = entered.command.make(entered.text)
    assert isinstance(made, ShowDataset)
    assert (made.name, made.config, made.split) == ("my data/a.csv", "", "")


async def test_a_file_of_the_workspace_is_previewed_by_the_person_and_by_the_agent(tmp_path: Path) -> None:
    look = tools(call("hf_inspect_dataset", {"dataset": "rows.csv"}, id="n1"))
    async with (
        ScriptedLLM(look, text("All done.")) as server,
        on_stage(real_app(server, tmp_path), (160, 45)) as stage,
    ):
        (tmp_path / "work" / "rows.csv").write_text("text,label\n" + "moss,1\nfern,0\n" * 20)
        await stage.sees("vllm/scripted")
        await stage.enter("/dataset rows.csv")
        await stage.sees("data set · rows.csv · 40 rows", "CSV · ", "✓ SFT")
        await stage.press("escape")
        await stage.enter("/dataset gone.csv")
        await stage.sees("gone.csv does not exist.", "r try again")
        await stage.press("escape")
        await stage.enter("look at the data")
        await stage.sees("All done.", "1 call")
        await stage.press("ctrl+o")
        await stage.sees("data set · rows.csv · 40 rows", "v tool call")


# ---------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize(("size", "view"), [((100, 30), "2"), ((160, 45), "1")])
def test_preview(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int], view: str) -> None:
    app, agents = played_app(tmp_path)

    async def before(pilot: Pilot[Any]) -> None:
        stage = Stage(app, pilot)
        await stage.sees("claude-opus")
        agents[0].events.play(*inspected())
        await stage.until(lambda: bool(app.main_screen._tools.chosen), "the call")
        await stage.press("ctrl+o")
        await stage.sees("✓ SFT")
        await stage.press(view, "right")
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=before)
