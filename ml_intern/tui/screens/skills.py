"""The screen of skills: what the agent can load, whose it is, and what it says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets._option_list import Option, OptionList
from textual.widgets._static import Static

from ml_intern.core.skills import FILE, Found, Skill, SkillError, Skills
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.display import BLANK_PIECE, LinesPiece, title_piece
from ml_intern.tui.widgets.heading import heading
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.markdown import render
from ml_intern.tui.widgets.text import clean, count, fit, one_line, pad

if TYPE_CHECKING:
    from textual.events import Resize

NAME_CELLS = 24
SOURCE_CELLS = 8
KEYS = [("{move}", "choose"), ("{fields}", "read"), ("{item.look}", "look again"), ("{back}", "back")]


class SkillsScreen(Backdrop[None]):
    """Lists skills; the chosen one in full below.

    Args:
        skills: Finds them.
    """

    AUTO_FOCUS = "#skills"
    HELP = (
        "Skills are instructions that the agent loads when they fit the work. Yours are folders with a SKILL.md in "
        "`skills` of the configuration directory; a project's in .ml-intern/skills, .claude/skills or .agents/skills, "
        "once you /trust it."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "back"),
        bind("item.look", "look"),
    ]

    def __init__(self, skills: Skills) -> None:
        super().__init__()
        self._skills = skills
        self._found = Found(())

    def compose(self) -> ComposeResult:
        """How many, what is wrong, the list, the chosen one, keys."""
        yield Static(id="skills-sums", markup=False)
        yield Static(id="skills-problems", markup=False)
        yield OptionList(id="skills", compact=True, markup=False)
        yield LineView(id="skill-text")
        yield KeyBar(KEYS, id="skills-keys")

    def on_mount(self) -> None:
        """Looks for them."""
        self._list = self.query_one(OptionList)
        self.action_look()

    def on_resize(self, _event: Resize) -> None:
        """The columns are laid out for the present width."""
        if self.is_mounted:
            self.call_after_refresh(self._show)

    def action_look(self) -> None:
        """Looks for skills anew."""
        self.run_worker(self._look(), name="looking for skills", exclusive=True, exit_on_error=False)

    async def _look(self) -> None:
        self._found = await asyncio.to_thread(self._skills.find)
        self._show()

    def _show(self) -> None:
        found, kept = self._found, self._list.highlighted or 0
        self.query_one("#skills-sums", Static).update(heading("skills", count(len(found.skills), "skill")))
        problems = self.query_one("#skills-problems", Static)
        problems.display = bool(found.warnings)
        problems.update("\n".join(one_line(warning) for warning in found.warnings))
        width = self._list.scrollable_content_region.width or self.size.width
        self._list.clear_options()
        self._list.add_options([Option(row(skill, width)) for skill in found.skills])
        self._list.highlighted = min(kept, len(found.skills) - 1) if found.skills else None
        self._list.focus()

    @on(OptionList.OptionHighlighted)
    def _show_chosen(self, event: OptionList.OptionHighlighted) -> None:
        skill = self._found.skills[event.option_index]
        self.run_worker(self._read(skill), name="reading a skill", exclusive=True, exit_on_error=False)

    async def _read(self, skill: Skill) -> None:
        try:
            text = await asyncio.to_thread(skill.body)
        except SkillError as error:
            text = f"It cannot be read: {error}."
        source = clean(f"{skill.description}\n\n{text}")
        rendered = LinesPiece(lambda width: render(source, width), source, source.count("\n") + 1)
        self.query_one(LineView).show_pieces([title_piece(str(skill.folder / FILE)), BLANK_PIECE, rendered])

    def action_back(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)


def row(skill: Skill, width: int) -> Content:
    """One skill in at most `width` cells: name, whose it is, what it is for."""
    room = max(8, width - NAME_CELLS - SOURCE_CELLS - 4)
    return Content.assemble(
        pad(fit(skill.name, NAME_CELLS), NAME_CELLS),
        ("  " + pad(skill.source, SOURCE_CELLS), "$foreground-muted"),
        "  " + fit(one_line(skill.description), room),
    )
