from __future__ import annotations

from pathlib import Path

import pytest
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, OptionList, TextArea

from ml_intern.core.protocol import ApprovalRequired, Processing
from ml_intern.tui.modals.base import Dialog, GraceDialog
from ml_intern.tui.screens.help import about
from ml_intern.tui.screens.listing import ListingScreen
from ml_intern.tui.screens.paned import PanedScreen
from ml_intern.tui.widgets.backdrop import Backdrop, ModalBackdrop
from tests.tui.playback import played_app
from tests.tui.stage import on_stage
from tests.tui.test_approvals import job
from tests.tui.test_keys import PLACEHOLDER, classes_of_the_app
from tests.tui.test_snapshots import worked

BASES = {Dialog, GraceDialog, ListingScreen, PanedScreen, Backdrop, ModalBackdrop}
SPEAK_FOR_THEMSELVES = (Input, OptionList, TextArea)
"""Fields and lists that the screen they are in explains."""


def test_every_screen_and_dialog_explains_itself() -> None:
    screens = [each for each in classes_of_the_app() if issubclass(each, Screen) and each not in BASES]
    assert len(screens) > 20
    assert [each.__name__ for each in screens if len(getattr(each, "HELP", None) or "") < 20] == []


@pytest.mark.parametrize(
    ("way", "sign"),
    [
        (("escape",), "chat"),
        (("f2",), "sessions  ⌕"),
        (("f3",), "jobs   this session"),
        (("f4",), "export CSV"),
        (("f5",), "settings  ⌕"),
        (("ctrl+p",), "commands"),
        (("ctrl+o",), "1 all"),
        (("f6",), "go there"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
async def test_whatever_has_the_focus_is_explained(tmp_path: Path, way: tuple[str, ...], sign: str) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (120, 40)) as stage:
        await stage.sees("claude-opus")
        worked(agents[0])
        await stage.sees("done · 3 model calls")
        await stage.press(*way)
        await stage.sees(sign)
        screen = app.screen
        focusable = [widget for widget in screen.walk_children(Widget) if widget.focusable]
        for widget in focusable:
            text = about(widget, screen)
            assert text, widget
            assert not PLACEHOLDER.search(text)
            assert "(no key" not in text
            if not isinstance(widget, SPEAK_FOR_THEMSELVES):
                assert text != about(None, screen), f"{widget} says nothing of itself"
        await stage.press("f1")
        await stage.sees("help", "here")


async def test_a_dialog_is_explained_with_what_lies_in_it(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (100, 40)) as stage:
        await stage.sees("claude-opus")
        agents[0].events.play(Processing(), ApprovalRequired(tools=(job("one"),), count=1))
        await stage.sees("why asked")
        await stage.press("f1")
        await stage.sees("A text to be read.", "The agent asks before it does this.", "r rejects, n rejects and tells")
        await stage.sees("a    approve", "n    reject, and say why")
        assert "begin a new line" not in stage.screen
        assert "A    approve all" not in stage.screen  # there is only one request
        await stage.press("f1")
        await stage.sees_no_more("A text to be read.")
        await stage.sees("why asked")
