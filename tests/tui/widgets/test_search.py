from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot

from ml_intern.sessions.needle import Needle
from ml_intern.tui.widgets.blocks import (
    AnswerBlock,
    Block,
    EndBlock,
    NoticeBlock,
    PromptBlock,
    ReasoningBlock,
    ToolLine,
)
from ml_intern.tui.widgets.finder import Finder, places_in
from ml_intern.tui.widgets.in_source import count_in_source
from ml_intern.tui.widgets.lines import UNWRAPPED
from ml_intern.tui.widgets.markdown import render, words
from ml_intern.tui.widgets.pieces import Match, Slot
from ml_intern.tui.widgets.transcript import Transcript
from tests.support.counting import counted_calls
from tests.tui.widgets.support import Host, seen, text_of, until

EVERYWHERE: list[Block] = [
    PromptBlock("say needle", "14:02"),
    ReasoningBlock("I think of a **needle**.", "14:02", 2.0),
    AnswerBlock(
        "a nee**dle**, a\nneedle\n\n```python\nx = 'needle'\n```\n\n| a | b |\n|---|---|\n| 1 | `needle` |", "3"
    ),
    ToolLine("bash", "echo needle", "completed", 0.1),
    NoticeBlock("The needle is lost.", level="warning"),
    EndBlock("needle · 1 s"),
    PromptBlock("\n".join([*(f"line {number}" for number in range(60)), "a needle at the end"]), "14:04"),
]


async def settled(pilot: Pilot[None], transcript: Transcript) -> None:
    await until(pilot, lambda: transcript.found.done)
    await pilot.pause()


def marked(transcript: Transcript) -> list[str]:
    """Texts on the screen that stand out as the find at hand."""
    style = transcript.inks.style("found")
    return [
        segment.text
        for strip in transcript.render_lines(transcript.size.region)
        for segment in strip
        if segment.style is not None and segment.style.reverse and segment.style.bgcolor == style.bgcolor
    ]


async def test_a_text_is_found_wherever_it_is_read_and_each_find_is_gone_to() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(50, 14)) as pilot:
        transcript.extend(EVERYWHERE)
        await pilot.pause()
        transcript.search("needle")
        await settled(pilot, transcript)
        assert transcript.found.text == "10 of 10"  # the nearest to the end, in the folded part of a prompt
        for number in (*range(1, 11), 1):
            transcript.search_next()
            await pilot.pause()
            assert transcript.found.number == number
            assert "".join(marked(transcript)) == "needle"


async def test_what_a_search_has_opened_is_closed_again_when_it_goes_on() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(50, 14)) as pilot:
        transcript.extend(EVERYWHERE)
        transcript.search("of a needle")
        await settled(pilot, transcript)
        assert "I think of a needle." in text_of(transcript)
        transcript.search("say needle")
        await settled(pilot, transcript)
        assert transcript.blocks == EVERYWHERE
        transcript.search("of a needle")
        await settled(pilot, transcript)
        transcript.end_search(back=True)
        await pilot.pause()
        assert transcript.blocks == EVERYWHERE
        assert transcript.following


async def test_a_phrase_is_found_across_the_lines_it_was_wrapped_to() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(24, 10)) as pilot:
        transcript.append(AnswerBlock("- the learning rate of the run was *far* too high for it"))
        transcript.search("run was far too")
        await settled(pilot, transcript)
        assert transcript.found.text == "1 of 1"
        assert " ".join(text.strip() for text in marked(transcript)) == "run was far too"


async def test_capitals_count_only_when_they_are_typed() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(50, 14)) as pilot:
        transcript.extend([PromptBlock("Needle and NEEDLE"), AnswerBlock("needle")])
        for text, number in (("needle", 3), ("Needle", 1), ("NEEDLE", 1), ("nEEDLE", 0)):
            transcript.search(text)
            await settled(pilot, transcript)
            assert transcript.found.total == number, text


async def test_a_search_begins_where_the_reader_is_and_leads_back_there() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 16)) as pilot:
        transcript.extend(PromptBlock(f"question {at}") if at % 2 else AnswerBlock(f"answer {at}") for at in range(200))
        await pilot.pause()
        for _ in range(12):
            await pilot.press("pageup")
        before = seen(transcript)
        transcript.search("q")
        transcript.search("question 1")
        await settled(pilot, transcript)
        here = int(next(row for row in reversed(before) if "question 1" in row).rsplit(" ", 1)[1])
        assert f"question {here}" in text_of(transcript)
        transcript.search("question 7")
        await settled(pilot, transcript)
        assert "question 79" in text_of(transcript)
        transcript.search("question 7777")
        await settled(pilot, transcript)
        assert transcript.found.text == "nothing found"
        assert seen(transcript) == before
        transcript.search("question 11")
        await settled(pilot, transcript)
        assert transcript.found.text == "6 of 6"
        transcript.end_search(back=True)
        await pilot.pause()
        assert seen(transcript) == before


async def test_the_view_stays_at_a_find_while_an_answer_streams_in_and_its_finds_are_counted() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 12)) as pilot:
        transcript.extend(AnswerBlock(f"the needle {at}") for at in range(9))
        await pilot.pause()
        transcript.search("needle 8")
        await settled(pilot, transcript)
        assert transcript.found.text == "1 of 1"
        before = seen(transcript)
        transcript.stream_start("answer")
        for number in range(40):
            transcript.stream_write(f"again nee**dle 8** and {number}\n\n")
            await pilot.pause()
        await until(pilot, lambda: transcript.found == (1, 41, True))
        assert seen(transcript)[:-1] == before[:-1]
        transcript.stream_end()
        await until(pilot, lambda: transcript.found == (1, 41, True))
        transcript.search_next()
        await pilot.pause()
        assert transcript.found.number == 2
        transcript.end_search()
        transcript.follow()
        await pilot.pause()
        assert not marked(transcript)
        assert not transcript._timers


async def test_finds_that_are_taken_back_are_not_counted_any_more() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 12)) as pilot:
        blocks = [transcript.append(PromptBlock(f"needle {at}")) for at in range(6)]
        transcript.search("needle")
        await settled(pilot, transcript)
        transcript.search_next(-1)
        transcript.remove_from(blocks[3])
        await until(pilot, lambda: transcript.found == (0, 3, True))
        transcript.search_next()
        assert transcript.found.text == "3 of 3"
        transcript.clear()
        await until(pilot, lambda: transcript.found.total == 0)
        transcript.search_next()
        assert transcript.found.number == 0


async def test_another_letter_costs_little_in_ten_thousand_messages() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(80, 24)) as pilot:
        answer = "The run on **two cards** ended; `loss` fell from 2.31 to 1.0{0} and stays.\n\n- first\n- second {0}"
        said = (AnswerBlock(answer.format(at)) if at % 2 else PromptBlock(f"and {at}?") for at in range(10_000))
        transcript.extend(said)
        await pilot.pause()
        spans = []
        for end in range(1, 13):
            start = time.perf_counter()
            transcript.search("second 9999!"[:end])
            spans.append(time.perf_counter() - start)
            await pilot.pause()
        assert sorted(spans)[-2] < 0.2  # a fifth of what looking at all of them takes, on a slow machine
        transcript.search("second 77")
        await until(pilot, lambda: transcript.found.done, within=20.0)
        assert transcript.found.text == "56 of 56"
        assert "second 7799" in text_of(transcript)


MARKDOWN = st.text(alphabet=st.sampled_from("ab *_`~[](!)<>&#-|\n1.\\:"), max_size=60)


@settings(max_examples=150, deadline=None)
@given(MARKDOWN, st.text(alphabet="ab1", min_size=1, max_size=3))
def test_what_is_counted_is_what_is_shown(source: str, text: str) -> None:
    needle = Needle(text)
    shown = words(source)
    assert not needle.within(shown) or needle.may_be_shown(source) or "[" in source
    places = places_in(render(source, UNWRAPPED), needle)
    assert len(list(needle.places(shown))) == len({place.nth for found in places.values() for place in found})


MARKUP = (
    "a", "b", "ab", "a b", "1", "é", " ", "\t", "\n", "\n\n", "**", "_", "`", "``", "~~", "[", "](", "u)", "](ab)", ")",
    "![", "!", "<", ">", "&amp;", "# ", "- ", "1. ", "2) ", "|", "| ", "|---|---|\n", "|-|\n", "```", "```ab\n", "~~~",
    "\\", "> ", "    ", "[x] ", "\n[a]: b\n", "<http://a%20b>", "==", "--",
)  # fmt: skip
TEXTS = ("a", "ab", "b", "aba", "a b", "1", "ba", "a_b", "1. a", "x", "A", "a 1", "http", "aa", "*a")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(MARKUP), max_size=25).map("".join), st.sampled_from(TEXTS))
def test_what_the_source_tells_is_what_is_read(source: str, text: str) -> None:
    needle = Needle(text)
    read = len(list(needle.places(words(source))))
    assert needle.count(words(source)) == read
    assert count_in_source(needle, source) in {None, read}


@pytest.mark.parametrize(
    ("source", "text", "number"),
    [
        ("The **loss** fell; `loss` is *low*, [loss](https://example.org/run) too.", "loss", 3),
        ("A loss\n\n```python\nloss = 1\nprint(loss)\n```\n\n| loss | n |\n|---|---|\n| 1 | 2 |\n", "loss", 4),
        ("the learning_rate and\nthe rate", "learning_rate", 1),
        ("fell from 2 to 1.02, and 1.02 stays", "1.02", 2),
        ("see [it](https://example.org/loss)", "loss", None),
        ("lo**ss** and lo\\ss", "loss", None),
        ("it fell\nfrom 2", "fell from", None),
        ("1. one\n1. two", "1", None),
        ("| a | b |\n|---|---|\n| 1 | 2 | loss |", "loss", None),
        ("```loss\n```", "loss", None),
        ("![](u)", "image", None),
        ("| a |", "|", None),
    ],
)
def test_the_source_tells_what_is_certain_and_no_more(source: str, text: str, number: int | None) -> None:
    assert count_in_source(Needle(text), source) == number
    assert number is None or Needle(text).count(words(source)) == number


async def test_all_finds_are_counted_without_rendering_what_is_not_seen() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(80, 24)) as pilot:
        answer = "Run {0}: the **loss** fell.\n\n- `loss` of [it](https://example.org/{0})\n\n```python\nloss\n```"
        transcript.extend(AnswerBlock(answer.format(at)) for at in range(2_000))
        await pilot.pause()
        before = words.cache_info().misses
        with counted_calls(render) as rendered:
            transcript.search("loss")
            await settled(pilot, transcript)
        assert transcript.found.text == "6,000 of 6,000"
        assert words.cache_info().misses == before
        assert rendered.total < 50  # what is in view, and a view above and below


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=12), st.integers(0, 12), st.booleans(), st.data())
def test_a_finder_keeps_count_whatever_changes_meanwhile(
    numbers: list[int], start: int, backwards: bool, data: st.DataObject
) -> None:
    slots = [Slot(serial, NoticeBlock("x" * number)) for serial, number in enumerate(numbers, 1)]
    finder = Finder[NoticeBlock](lambda piece, needle: len(list(needle.places(piece.text))), backwards=backwards)
    finder.begin(Needle("x"), start)
    while not finder.look(slots, -1.0):
        for _ in range(data.draw(st.integers(0, 2))):
            if data.draw(st.booleans()):
                slots.append(Slot(slots[-1].serial + 1 if slots else 1, NoticeBlock("xx")))
                finder.changed(slots[-1].serial)
            elif slots:
                finder.gone(slots.pop().serial)
    known = [Match(slot.serial, nth) for slot in slots for nth in range(len(slot.piece.text))]
    assert finder.total == len(known)
    for number, match in enumerate(known):
        assert finder.number_of(match) == number + 1
        assert finder.after(match, 1) == known[(number + 1) % len(known)]
        assert finder.after(match, -1) == known[number - 1]
