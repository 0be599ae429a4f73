"""What the chat is made of: prompts, answers, reasoning, notices, mentions of tools, ends of turns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Protocol

from ml_intern.tui.widgets.lines import Line, Run, indent, wrap
from ml_intern.tui.widgets.links import PATH, linked
from ml_intern.tui.widgets.markdown import render
from ml_intern.tui.widgets.stream import MarkdownStream
from ml_intern.tui.widgets.text import cells, clean, count, duration, fit, one_line, readable
from ml_intern.tui.widgets.tool_model import GLYPHS, state_ink

YOU = "you"
AGENT = "ml-intern"
MARGIN = Run("  ")
ASIDE = Run("┊ ", "faint")
FOLDED_PROMPT = 24
"""Lines of a long prompt that are shown before it is opened."""
LIVE_THOUGHT = 3
"""Lines of reasoning that are visible while it streams in."""
FILE_TOOLS = frozenset({"read", "write", "edit"})
"""Tools that are called with the path of a file."""
RATINGS = {"up": ("▲ good answer", "success"), "down": ("▼ poor answer", "warning")}
FOLD = "mark"
"""Ink of the lines that open and close a block."""

Level = Literal["info", "warning", "error"]


class Block(Protocol):
    """A part of the chat.

    Attributes:
        speaker: Whose words it is; empty when it is nobody's.
        tight: No empty line between it and another tight block.
        time: When it was said, as shown in the header.
    """

    @property
    def speaker(self) -> str: ...

    @property
    def tight(self) -> bool: ...

    @property
    def time(self) -> str: ...

    @property
    def plain(self) -> str:
        """Its text, for search."""

    def estimate(self, width: int, /) -> int:
        """About how many lines it has."""

    def render(self, width: int, /) -> list[Line]:
        """Its lines."""


def about(text: str, width: int) -> int:
    return text.count("\n") + len(text) // max(1, width - 4) + 1


def body(width: int) -> int:
    return max(1, width - len(MARGIN.text))


def wrapped(text: str, width: int, ink: str = "") -> list[Line]:
    """Plain text, line by line."""
    return [row for part in clean(text).split("\n") for row in wrap(linked(readable(part), ink), width)]


def remark(text: str, ink: str) -> Line:
    """A line of ours below what was said: neither copied nor searched."""
    return Line((Run(text, ink),), len(text))


@dataclass(frozen=True, slots=True)
class Said:
    """Base of the blocks that are a text somebody said at some time."""

    text: str
    time: str = ""

    speaker: ClassVar[str] = AGENT
    tight: ClassVar[bool] = False

    @property
    def plain(self) -> str:
        """The text as it came."""
        return self.text

    def estimate(self, width: int) -> int:
        """About how many lines the text takes."""
        return about(self.text, width)


@dataclass(frozen=True, slots=True)
class PromptBlock(Said):
    """What the person asked.

    Attributes:
        steered: It was said while a turn was running.
        expanded: A long one is shown whole.
        along: What went with it, a line each.
    """

    steered: bool = False
    expanded: bool = False
    along: tuple[str, ...] = ()

    speaker: ClassVar[str] = YOU

    def estimate(self, width: int) -> int:
        """About how many lines are shown."""
        lines = about(self.text, width)
        return len(self.along) + (lines if self.expanded else min(lines, FOLDED_PROMPT + 1))

    def render(self, width: int) -> list[Line]:
        """The text as it was typed; a very long one is folded."""
        text = self.text.strip("\n")
        lines = wrapped(text, body(width)) if text else []
        hidden = len(lines) - FOLDED_PROMPT
        if hidden > 4:
            label = "▴ fold" if self.expanded else f"▾ {count(hidden, 'more line')}"
            lines = [*(lines if self.expanded else lines[:FOLDED_PROMPT]), remark(label, FOLD)]
        lines += [remark(f"+ {fit(one_line(thing), max(1, body(width) - 2))}", "muted") for thing in self.along]
        if self.steered:
            lines.append(remark("while it was working", "faint"))
        return indent(lines, MARGIN)


@dataclass(frozen=True, slots=True)
class AnswerBlock(Said):
    """What the agent said, in markdown.

    Attributes:
        partial: The reply was cut off by an interrupt.
        rating: What the person thinks of it: `up`, `down` or `none`.
        seq: Number of its event; 0 while it has none. It changes nothing that is shown.
    """

    partial: bool = False
    rating: str = "none"
    seq: int = field(default=0, compare=False)

    def render(self, width: int) -> list[Line]:
        """The markdown, a remark where it was cut off, and what the person thinks of it."""
        lines = render(self.text, body(width))
        if self.partial:
            lines.append(remark("(interrupted here)", "muted"))
        if self.rating in RATINGS:
            lines.append(remark(*RATINGS[self.rating]))
        return indent(lines, MARGIN)


@dataclass(frozen=True, slots=True)
class ReasoningBlock(Said):
    """What the model thought before it spoke: one line that opens.

    Attributes:
        seconds: How long it thought; None when unknown.
        expanded: The thoughts are shown.
    """

    seconds: float | None = None
    expanded: bool = False

    def estimate(self, width: int) -> int:
        """About how many lines are shown."""
        return 1 + (about(self.text, width) if self.expanded else 0)

    def render(self, width: int) -> list[Line]:
        """The line, and the thoughts below it when it is open."""
        label = "thought" if self.seconds is None else f"thought for {duration(self.seconds)}"
        lines = [remark(f"{'▴' if self.expanded else '▾'} {label}", FOLD)]
        if self.expanded:
            lines += indent(render(self.text, body(width) - 2, "thought"), Run("  "))
        return indent(lines, MARGIN)


@dataclass(frozen=True, slots=True)
class AsideBlock(Said):
    """A question beside the conversation, and its answer below it.

    Attributes:
        answer: What came of it, in markdown; empty while it is being asked.
        failed: The answer says why there is none.
    """

    answer: str = ""
    failed: bool = False

    speaker: ClassVar[str] = ""

    @property
    def plain(self) -> str:
        """Question and answer."""
        return f"{self.text}\n\n{self.answer}".strip()

    def estimate(self, width: int) -> int:
        """About how many lines both take."""
        return about(self.text, width) + about(self.answer or "…", width)

    def render(self, width: int) -> list[Line]:
        """Both beside a line of their own, which tells them from the conversation."""
        inner = max(1, body(width) - len(ASIDE.text))
        lines = wrapped(f"by the way: {self.text.strip()}", inner, "muted")
        if not self.answer:
            lines.append(remark("asking …", "faint"))
        elif self.failed:
            lines += wrapped(f"✗ {self.answer}", inner)
        else:
            lines += render(self.answer, inner)
        return indent(indent(lines, ASIDE), MARGIN)


@dataclass(frozen=True, slots=True)
class NoticeBlock(Said):
    """A sentence about what happens: a retry, a warning, an error with its next step."""

    level: Level = "info"

    speaker: ClassVar[str] = ""
    tight: ClassVar[bool] = True
    MARKS: ClassVar[dict[str, tuple[str, str, str]]] = {
        "info": ("·", "muted", "muted"),
        "warning": ("!", "warning", ""),
        "error": ("✗", "error", ""),
    }

    def render(self, width: int) -> list[Line]:
        """The sentence behind a mark of its level."""
        mark, mark_ink, ink = self.MARKS[self.level]
        lines = wrapped(self.text.strip(), body(width) - 2, ink)
        return indent(indent(lines, Run("  "), Run(f"{mark} ", mark_ink)), MARGIN)


@dataclass(frozen=True, slots=True)
class EndBlock(Said):
    """The line that closes a turn: how it ended, how long it took, what it cost."""

    speaker: ClassVar[str] = ""

    def render(self, width: int) -> list[Line]:
        """A thin rule with the text at its right end."""
        text = fit(one_line(self.text), max(1, width - 6))
        return [Line((Run("─" * max(0, width - cells(text) - 1), "rule"), Run(f" {text}", "muted")))]


@dataclass(frozen=True, slots=True)
class ToolLine:
    """A mention of a tool call, on one line.

    Attributes:
        tool: The tool's name.
        summary: What it was called with, in a few words.
        state: Where the call stands.
        seconds: How long it took; None while it runs.
        final: It failed, and nothing in its turn has mended that.
    """

    tool: str
    summary: str = ""
    state: str = "running"
    seconds: float | None = None
    time: str = ""
    final: bool = False

    speaker: ClassVar[str] = AGENT
    tight: ClassVar[bool] = True

    @property
    def plain(self) -> str:
        """Name and summary."""
        return f"{self.tool} {self.summary}"

    def estimate(self, _width: int) -> int:
        """One line."""
        return 1

    def render(self, width: int) -> list[Line]:
        """Mark of the state, name, summary, duration."""
        ended = f"  {duration(self.seconds)}" if self.seconds is not None else ""
        failed = "  failed" if self.final else ""
        name = one_line(self.tool, 60)
        room = body(width) - 4 - cells(name) - cells(failed + ended)
        runs = (
            MARGIN,
            Run(GLYPHS.get(self.state, "▸") + " ", state_ink(self.state, final=self.final)),
            Run(name, "muted"),
            *self._about(room),
            Run(failed, "error"),
            Run(ended, "faint"),
        )
        return [Line(tuple(run for run in runs if run.text), len(MARGIN.text))]

    def _about(self, room: int) -> list[Run]:
        summary = one_line(self.summary)
        if room <= 3 or not summary:
            return []
        shown = fit(summary, room)
        if shown != summary:  # what is cut off is no address any more
            return [Run(f"  {shown}", "faint")]
        if self.tool in FILE_TOOLS:
            path, gap, more = shown.partition("  ")
            return [Run("  "), Run(path, "faint", PATH + path), Run(gap + more, "faint")]
        return [Run("  "), *linked(shown, "faint")]


class LiveAnswer:
    """An answer that is being written."""

    speaker = AGENT
    tight = False

    def __init__(self, time: str = "") -> None:
        self.time = time
        self._stream = MarkdownStream(80)
        self._inner: list[Line] = []
        self._lines: list[Line] = []

    def write(self, text: str) -> None:
        """Adds text."""
        self._stream.write(text)

    @property
    def plain(self) -> str:
        """The text so far."""
        return self._stream.source

    def estimate(self, width: int) -> int:
        """About how many lines there are so far."""
        return about(self.plain, width)

    def render(self, width: int) -> list[Line]:
        """The lines so far. Those that did not change are the same objects as before."""
        if self._stream.width != body(width):
            self._stream = self._stream.at_width(body(width))
        inner = self._stream.lines()
        same = 0
        for old, new in zip(self._inner, inner, strict=False):
            if old is not new:
                break
            same += 1
        self._lines = self._lines[:same] + indent(inner[same:], MARGIN)
        self._inner = list(inner)
        return self._lines

    def ended(self, *, partial: bool) -> AnswerBlock:
        """The finished block."""
        self._stream.finish()
        return AnswerBlock(self.plain, self.time, partial)


class LiveReasoning:
    """Thoughts that are coming in: their last lines are shown."""

    speaker = AGENT
    tight = False

    def __init__(self, time: str = "") -> None:
        self.time = time
        self._chunks: list[str] = []

    def write(self, text: str) -> None:
        """Adds text."""
        self._chunks.append(text)

    @property
    def plain(self) -> str:
        """The text so far."""
        if len(self._chunks) > 1:
            self._chunks = ["".join(self._chunks)]
        return self._chunks[0] if self._chunks else ""

    def estimate(self, _width: int) -> int:
        """A few lines."""
        return LIVE_THOUGHT + 1

    def render(self, width: int) -> list[Line]:
        """A word on what happens, and the last few lines."""
        room = max(1, body(width) - 2)
        tail = self.plain[-(LIVE_THOUGHT + 2) * room :].strip("\n")
        lines = [row for row in wrapped(tail, room, "thought") if row.plain.strip()][-LIVE_THOUGHT:]
        return indent([remark("thinking", "muted"), *indent(lines, Run("  "))], MARGIN)

    def ended(self, seconds: float | None) -> ReasoningBlock:
        """The finished block."""
        return ReasoningBlock(self.plain, self.time, seconds)


def foldable(block: Block) -> bool:
    """Whether a block opens and closes."""
    return hasattr(block, "expanded")


def is_open(block: Block) -> bool:
    """Whether a block that closes is open."""
    return bool(getattr(block, "expanded", False))


def toggled(block: Block) -> Block:
    """The block opened or closed."""
    if isinstance(block, PromptBlock | ReasoningBlock):
        return replace(block, expanded=not block.expanded)
    return block
