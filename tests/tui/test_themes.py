from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.color import ColorType
from rich.style import Style
from textual.color import Color
from textual.theme import Theme

from ml_intern.core.protocol import ApprovalRequired, Processing
from ml_intern.tui.background import is_answered, is_light, without_answers
from ml_intern.tui.plain_colours import BRIGHT_BLACK, BRIGHT_WHITE
from ml_intern.tui.themes import ANSI, OWN_THEMES
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage
from tests.tui.test_approvals import job
from tests.tui.test_snapshots import worked

GROUNDS = ("background", "surface", "panel")
MEANINGS = ("accent", "secondary", "error", "warning", "success")
HIGH = 7.0
ENOUGH = 4.5


def luminance(color: Color) -> float:
    channels = [value / 255 for value in (color.r, color.g, color.b)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(share * value for share, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: Color, other: Color) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def on_grounds(theme: Theme, *names: str) -> Iterator[tuple[str, float]]:
    colors = theme.to_color_system().generate()
    for ground, name in itertools.product(GROUNDS, names):
        below = Color.parse(colors[ground])
        yield f"{theme.name}: {name} on {ground}", contrast(below, below + Color.parse(colors[name]))


MIXED = [theme for theme in OWN_THEMES if not theme.ansi]


@pytest.mark.parametrize("theme", MIXED, ids=lambda theme: theme.name)
def test_every_text_can_be_read_on_every_ground(theme: Theme) -> None:
    high = "contrast" in theme.name
    text = HIGH if high else ENOUGH
    weak = [
        *((what, ratio) for what, ratio in on_grounds(theme, "foreground", *MEANINGS) if ratio < text),
        *((what, ratio) for what, ratio in on_grounds(theme, "foreground-muted") if ratio < ENOUGH),
        *((what, ratio) for what, ratio in on_grounds(theme, "border-blurred") if high and ratio < ENOUGH),
    ]
    assert weak == []


@pytest.mark.parametrize("theme", MIXED, ids=lambda theme: theme.name)
def test_what_is_marked_can_be_read_too(theme: Theme) -> None:
    colors = theme.to_color_system().generate()
    background = Color.parse(colors["background"])
    cursor = background + Color.parse(colors["primary"]).with_alpha(0.18)
    pairs = {
        "block cursor": (
            Color.parse(colors["block-cursor-foreground"]),
            Color.parse(colors["block-cursor-background"]),
        ),
        "match": (background, Color.parse(colors["warning"])),
        "row under the cursor": (cursor, Color.parse(colors["foreground"])),
        "muted under the cursor": (cursor, Color.parse(colors["foreground-muted"])),
    }
    assert {name: ratio for name, pair in pairs.items() if (ratio := contrast(*pair)) < ENOUGH} == {}


def styles_on(stage: Stage) -> set[Style]:
    strips = stage.app.screen._compositor.render_strips(stage.app.size)
    return {segment.style for strip in strips for segment in strip if segment.style is not None}


async def busy(stage: Stage, agents: list[PlayedAgent]) -> None:
    await stage.sees("claude-opus")
    worked(agents[0])
    await stage.sees("done · 3 model calls")


async def test_the_sixteen_colours_are_the_terminals_own(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path, theme=ANSI.name)
    async with on_stage(app, (120, 40)) as stage:
        await busy(stage, agents)
        seen = styles_on(stage)
        await stage.press("tab", "tab", "tab")
        seen |= styles_on(stage)
        await stage.press("ctrl+p")
        await stage.sees("/help")
        seen |= styles_on(stage)
        await stage.press("escape")
        agents[0].events.play(Processing(), ApprovalRequired(tools=(job("one"),), count=1))
        await stage.sees("why asked")
        seen |= styles_on(stage)
    colors = {color for style in seen for color in (style.color, style.bgcolor) if color is not None}
    assert {color.type for color in colors} <= {ColorType.DEFAULT, ColorType.STANDARD}
    assert not {color.number for color in colors} & {BRIGHT_BLACK, BRIGHT_WHITE}
    assert {style.bgcolor.number for style in seen if style.bgcolor is not None} == {None}
    assert any(style.dim for style in seen)
    assert any(style.reverse for style in seen)


async def test_no_color_leaves_no_colour_and_still_marks_what_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, agents = played_app(tmp_path, theme="")
    async with on_stage(app, (120, 40)) as stage:
        await busy(stage, agents)
        seen = styles_on(stage)
        await stage.press("ctrl+p")
        await stage.sees("/help")
        seen |= styles_on(stage)
    colors = {color for style in seen for color in (style.color, style.bgcolor) if color is not None}
    assert {color.type for color in colors} <= {ColorType.DEFAULT}
    for attribute in ("bold", "dim", "reverse"):
        assert any(getattr(style, attribute) for style in seen), attribute


def test_a_theme_that_was_asked_for_beats_no_color(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert played_app(tmp_path, theme="ml-intern-light")[0].theme == "ml-intern-light"


@pytest.mark.parametrize(
    ("received", "colorfgbg", "light", "typed"),
    [
        ("\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;22c", "", True, ""),
        ("\x1b]11;rgb:1515/1717/1c1c\x07\x1b[?1;2c", "0;15", False, ""),
        ("\x1b]11;#faf9f6\x07\x1b[?1;2c", "", True, ""),
        ("he\x1b]11;rgb:ff/ff/ff\x07l\x1b[?1;2clo", "", True, "hello"),
        ("\x1b[?6c", "0;15", True, ""),
        ("early", "15;0", False, "early"),
        ("", "", False, ""),
        ("\x1b]11;rgb:/\x07\x1b[?6c", "", False, ""),
    ],
)
def test_the_words_of_a_terminal_are_understood(received: str, colorfgbg: str, light: bool, typed: str) -> None:
    data = received.encode()
    assert is_light(data, colorfgbg) is light
    assert without_answers(data) == typed.encode()
    assert is_answered(data) is received.partition("\x1b[?")[2].partition("lo")[0].endswith("c")
