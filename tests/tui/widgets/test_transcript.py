from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.events import MouseScrollUp

from ml_intern.tui.widgets.blocks import (
    AnswerBlock,
    Block,
    EndBlock,
    NoticeBlock,
    PromptBlock,
    ReasoningBlock,
    ToolLine,
)
from ml_intern.tui.widgets.lines import BLANK, Line
from ml_intern.tui.widgets.piece_list import KEPT_LINES
from ml_intern.tui.widgets.pieces import RenderCache, Rendered
from ml_intern.tui.widgets.transcript import Transcript
from tests.tui.stage import settled
from tests.tui.widgets.support import Host, seen, text_of, until

ANSWER = "Paragraph {0} with **bold** words that go on for a while.\n\n- first\n- second\n\n```python\nx = {0}\n```"


def conversation(size: int) -> list[Block]:
    return [AnswerBlock(ANSWER.format(at)) if at % 2 else PromptBlock(f"question {at}", "14:02") for at in range(size)]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def top_text(transcript: Transcript) -> str:
    return next(row.strip() for row in seen(transcript) if row.strip())


async def test_a_conversation_shows_speakers_times_and_how_the_turn_ended() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(50, 24)) as pilot:
        transcript.append(PromptBlock("Is it [bold]better[/]?", "14:02"))
        transcript.append(ReasoningBlock("Hm.", "14:03", 6.2))
        transcript.append(AnswerBlock("It **is**.", "14:03"))
        transcript.append(ToolLine("bash", "python train.py", "completed", 12.0))
        transcript.append(ToolLine("read", "x.py", "failed", 0.1))
        transcript.append(NoticeBlock("Trying again in 4 s.", level="warning"))
        transcript.append(EndBlock("done · 41 s"))
        await settled(pilot)
        assert [row for row in seen(transcript) if row] == [
            "you" + " " * 41 + "14:02",
            "  Is it [bold]better[/]?",
            "ml-intern" + " " * 35 + "14:03",
            "  ▾ thought for 6.2 s",
            "  It is.",
            "  ✓ bash  python train.py  12 s",
            "  ✗ read  x.py  0.1 s",
            "  ! Trying again in 4 s.",
            "─" * 37 + " done · 41 s",
        ]


async def test_the_view_follows_the_end_until_the_reader_scrolls_up() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 20)) as pilot:
        transcript.extend(conversation(40))
        await settled(pilot)
        assert "x = 39" in text_of(transcript)

        await pilot.press("pageup")
        before = seen(transcript)
        transcript.append(NoticeBlock("something new"))
        transcript.append(NoticeBlock("and more"))
        await settled(pilot)
        assert not transcript.following
        assert transcript.new_below == 2
        assert seen(transcript)[:-1] == before[:-1]
        assert seen(transcript)[-1].endswith("▾ 2 new below")

        await pilot.press("end")
        await settled(pilot)
        assert transcript.following
        assert transcript.new_below == 0
        assert seen(transcript)[-1].strip() == "· and more"


async def test_scrolling_back_down_attaches_again() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 20)) as pilot:
        transcript.extend(conversation(30))
        await settled(pilot)
        for _ in range(5):
            await pilot.press("up")
        assert not transcript.following
        for _ in range(5):
            await pilot.press("down")
        assert transcript.following
        transcript.append(NoticeBlock("the end"))
        await settled(pilot)
        assert "the end" in text_of(transcript)


async def test_the_wheel_lets_go_and_the_mark_leads_back() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 20)) as pilot:
        transcript.extend(conversation(30))
        await settled(pilot)
        await pilot._post_mouse_events([MouseScrollUp], transcript, (5, 5))
        await settled(pilot)
        assert not transcript.following
        transcript.append(NoticeBlock("the end"))
        await settled(pilot)
        await pilot.click(transcript, offset=(50, 19))
        await settled(pilot)
        assert transcript.following
        assert "the end" in text_of(transcript)


async def test_every_row_passes_once_when_reading_from_end_to_beginning() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 20)) as pilot:
        transcript.extend(conversation(12))
        await settled(pilot)
        rows = seen(transcript)
        while transcript.scroll_y > 0:
            before, top = seen(transcript), transcript.scroll_y
            await pilot.press("up")
            now = seen(transcript)
            assert now[1:] == before[:-1], f"a jump at row {top}"
            rows.insert(0, now[0])
        shown = [row.strip() for row in rows]
        assert [row for row in shown if row.startswith("question")] == [f"question {at}" for at in range(0, 12, 2)]
        assert [row for row in shown if row.startswith("▎ x")] == [f"▎ x = {at}" for at in range(1, 12, 2)]


async def test_a_resize_keeps_the_first_visible_text_in_place() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(80, 20)) as pilot:
        transcript.extend(AnswerBlock(" ".join(f"word{at}x{number}" for number in range(120))) for at in range(20))
        await settled(pilot)
        for _ in range(3):
            await pilot.press("pageup")
        first = top_text(transcript).split()[0]
        for width in (50, 120, 33, 80):
            await pilot.resize_terminal(width, 20)
            await settled(pilot)
            assert first in " ".join(seen(transcript)[:2]), width
        assert top_text(transcript).split()[0] == first


async def test_a_resize_at_the_end_stays_at_the_end() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(80, 30)) as pilot:
        transcript.extend(conversation(30))
        await settled(pilot)
        for size in ((40, 10), (120, 40), (61, 12)):
            await pilot.resize_terminal(*size)
            await settled(pilot)
            assert transcript.following
            assert seen(transcript)[-1].strip() == "▎ x = 29"


async def test_a_streamed_answer_looks_like_the_finished_one() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 40)) as pilot:
        transcript.append(AnswerBlock(ANSWER, "14:03"))
        await settled(pilot)
        expected = seen(transcript)
        transcript.clear()
        transcript.stream_start("answer", "14:03")
        for at in range(0, len(ANSWER), 3):
            transcript.stream_write(ANSWER[at : at + 3])
            await asyncio.sleep(0)
        block_id = transcript.stream_end()
        await settled(pilot)
        assert seen(transcript) == expected
        assert transcript.blocks == [AnswerBlock(ANSWER, "14:03")]
        assert block_id is not None
        transcript.update(block_id, AnswerBlock("Something else."))
        await settled(pilot)
        assert "Something else." in text_of(transcript)


async def test_text_that_streams_in_is_shown_soon_without_an_end() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 20)) as pilot:
        for word in ("one ", "two ", "three"):
            transcript.stream_write(word)
        await until(pilot, lambda: "one two three" in text_of(transcript))
        assert transcript.streaming


async def test_reasoning_shows_its_last_lines_and_then_folds_to_one() -> None:
    clock = Clock()
    transcript = Transcript(clock=clock)
    async with Host(transcript).run_test(size=(50, 20)) as pilot:
        transcript.stream_start("reasoning", "14:03")
        transcript.stream_write("\n".join(f"thought {number}" for number in range(9)))
        clock.now += 6
        await settled(pilot)
        assert "thought 8" in text_of(transcript)
        assert "thought 1" not in text_of(transcript)
        transcript.stream_end()
        await settled(pilot)
        assert [row.strip() for row in seen(transcript) if row][1:] == ["▾ thought for 6.0 s"]
        transcript.focus()
        await pilot.press("t")
        await settled(pilot)
        assert "▴ thought for 6.0 s" in text_of(transcript)
        assert "thought 1" in text_of(transcript)
        await pilot.click(transcript, offset=(6, 1))
        await settled(pilot)
        assert "thought 1" not in text_of(transcript)


async def test_a_discarded_reply_leaves_nothing() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(50, 20)) as pilot:
        transcript.append(PromptBlock("hi"))
        first = transcript.stream_start()
        transcript.stream_write("half a rep")
        transcript.append(NoticeBlock("The connection broke; trying again."))
        assert transcript.stream_end(discard=True) is None
        transcript.update(first, AnswerBlock("late"))
        transcript.stream_write("The whole reply.")
        transcript.stream_end()
        await settled(pilot)
        assert [row.strip() for row in seen(transcript) if row] == [
            "you",
            "hi",
            "· The connection broke; trying again.",
            "ml-intern",
            "The whole reply.",
        ]


async def test_an_interrupted_reply_says_so() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(50, 20)) as pilot:
        transcript.stream_write("I will")
        transcript.stream_end(partial=True)
        await settled(pilot)
        assert [row.strip() for row in seen(transcript) if row][-2:] == ["I will", "(interrupted here)"]


async def test_removing_from_a_prompt_takes_it_and_all_after_it() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(50, 20)) as pilot:
        transcript.append(PromptBlock("first"))
        transcript.append(AnswerBlock("one"))
        second = transcript.append(PromptBlock("second"))
        transcript.append(AnswerBlock("two"))
        transcript.stream_write("three")
        transcript.remove_from(second)
        transcript.remove_from(second)
        await settled(pilot)
        assert not transcript.streaming
        assert [block.plain for block in transcript.blocks] == ["first", "one"]
        assert [row.strip() for row in seen(transcript) if row] == ["you", "first", "ml-intern", "one"]


async def test_brackets_jump_from_prompt_to_prompt() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 16)) as pilot:
        transcript.extend(conversation(30))
        transcript.focus()
        await settled(pilot)
        shown = []
        for key in ("[", "[", "[", "]"):
            await pilot.press({"[": "left_square_bracket", "]": "right_square_bracket"}[key])
            await settled(pilot)
            shown.append(seen(transcript)[1].strip())
        assert shown == ["question 26", "question 24", "question 22", "question 24"]


async def test_a_selection_by_mouse_copies_what_was_written() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(30, 20)) as pilot:
        transcript.append(
            AnswerBlock("one two three four five six seven eight\n\n```\nif x:\n    y = '你好'\n```\n\nend")
        )
        await settled(pilot)
        rows = seen(transcript)
        start, end = rows.index("  one two three four five six"), rows.index("  end")
        await pilot.mouse_down(transcript, offset=(6, start))
        await pilot.hover(transcript, offset=(3, end))
        await pilot.mouse_up(transcript, offset=(3, end))
        await settled(pilot)
        selected = pilot.app.screen.get_selected_text()
        assert selected == "two three four five six seven eight\n\nif x:\n    y = '你好'\n\nen"


async def test_a_selection_stays_with_its_text_while_more_arrives() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(30, 10)) as pilot:
        transcript.extend(conversation(10))
        transcript.append(AnswerBlock("pick me please"))
        await settled(pilot)
        row = seen(transcript).index("  pick me please")
        await pilot.mouse_down(transcript, offset=(2, row))
        await pilot.hover(transcript, offset=(8, row))
        await pilot.mouse_up(transcript, offset=(8, row))
        transcript.extend(conversation(10))
        await settled(pilot)
        assert pilot.app.screen.get_selected_text() == "pick me"


async def test_two_clicks_select_a_word_and_three_the_block() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 10)) as pilot:
        transcript.append(AnswerBlock("hello wide world"))
        await settled(pilot)
        await pilot.click(transcript, offset=(9, 1), times=2)
        assert pilot.app.screen.get_selected_text() == "wide"
        await pilot.click(transcript, offset=(9, 1), times=3)
        assert "hello wide world" in (pilot.app.screen.get_selected_text() or "")


async def test_a_long_prompt_is_folded_and_opens() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 100)) as pilot:
        transcript.append(PromptBlock("\n".join(f"line {number}" for number in range(90))))
        await settled(pilot)
        assert "line 23" in text_of(transcript)
        assert "line 24" not in text_of(transcript)
        assert "▾ 66 more lines" in text_of(transcript)
        transcript.focus()
        await pilot.press("t")
        await settled(pilot)
        assert "line 89" in text_of(transcript)


async def test_changing_the_theme_repaints_in_its_colours() -> None:
    transcript = Transcript()
    host = Host(transcript)
    async with host.run_test(size=(40, 10)) as pilot:
        transcript.append(AnswerBlock("# Title"))
        await settled(pilot)
        dark = transcript.render_lines(transcript.size.region)[1]
        host.theme = "ml-intern-light"
        await settled(pilot)
        light = transcript.render_lines(transcript.size.region)[1]
        assert dark.text == light.text
        assert [segment.style for segment in dark] != [segment.style for segment in light]


async def test_out_of_sight_nothing_is_rendered_and_back_in_sight_all_is_there() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 10)) as pilot:
        await settled(pilot)
        transcript.display = False
        await settled(pilot)
        block = Counted()
        transcript.append(block)
        await settled(pilot)
        assert block.rendered == 0
        transcript.display = True
        await settled(pilot)
        assert "counted" in text_of(transcript)


class Counted:
    speaker = ""
    tight = False
    time = ""
    plain = "counted"

    def __init__(self) -> None:
        self.rendered = 0

    def estimate(self, _width: int) -> int:
        return 1

    def render(self, width: int) -> list[Line]:
        self.rendered += 1
        return NoticeBlock("counted").render(width)


async def test_ten_thousand_messages_render_only_what_comes_into_view() -> None:
    transcript = Transcript()
    blocks = [Counted() for _ in range(10_000)]
    async with Host(transcript).run_test(size=(80, 24)) as pilot:
        transcript.extend(blocks)
        await settled(pilot)
        await pilot.press("pageup", "home", "end")
        await settled(pilot)
        assert 0 < sum(block.rendered for block in blocks) < 400


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = RenderCache(limit=10)
    for serial in range(1, 6):
        cache.put(serial, Rendered([BLANK] * 4, 80))
    cache.get(1)
    cache.trim({5})
    assert [serial for serial in range(1, 6) if cache.get(serial)] == [1, 5]
    assert KEPT_LINES >= 1_000


async def test_an_idle_transcript_has_no_timer() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 10)) as pilot:
        transcript.stream_write("text")
        transcript.stream_end()
        await settled(pilot)
        assert not transcript._timers


HOSTILE = st.text(
    alphabet=st.one_of(st.sampled_from("[]/*`\x1b\x00\u202e\u200d\ud800\n\t 你👩|-#>"), st.characters()), max_size=120
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HOSTILE, min_size=4, max_size=16))
async def test_hostile_text_is_shown_everywhere_without_harm(texts: list[str]) -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(30, 20)) as pilot:
        for text in texts:
            transcript.extend(
                [
                    PromptBlock(text, text),
                    AnswerBlock(text),
                    ReasoningBlock(text, expanded=True),
                    NoticeBlock(text, level="error"),
                    ToolLine(text, text),
                    EndBlock(text),
                ]
            )
            transcript.stream_write(text)
            transcript.stream_end()
        await settled(pilot)
        for _ in range(4):
            assert "\x1b" not in text_of(transcript)
            for strip in transcript.render_lines(transcript.size.region):
                assert strip.cell_length == transcript.view.width
            await pilot.press("pageup")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 2), (300, 100)])
async def test_any_size_of_the_terminal_will_do(size: tuple[int, int]) -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=size) as pilot:
        transcript.extend(conversation(6))
        transcript.stream_write(ANSWER)
        await settled(pilot)
        await pilot.press("up", "home", "end")
        assert transcript.is_attached


async def test_dragging_the_scroll_bar_lets_go_of_the_end() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 20)) as pilot:
        transcript.extend(conversation(200))
        await settled(pilot)
        bar = transcript.vertical_scrollbar
        await pilot.mouse_down(bar, offset=(0, 19))
        await pilot.hover(bar, offset=(0, 5))
        await pilot.mouse_up(bar, offset=(0, 5))
        await settled(pilot)
        assert not transcript.following
        assert 0 < transcript.scroll_y < transcript.max_scroll_y
        assert "question" in text_of(transcript)
