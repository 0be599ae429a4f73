"""Giving ml-intern a key: which one, the key itself behind dots, and a check before it is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._input import Input
from textual.widgets._option_list import OptionList
from textual.widgets._static import Static
from textual.widgets.option_list import Option

from ml_intern.core.keys import Key, Verdict
from ml_intern.tui.keys.keymap import bind, bind_number
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import Hint, KeyBar
from ml_intern.tui.widgets.text import fit, pad

LABEL_CELLS = 15
CHOOSING = (("{move}", "choose"), ("{number}", "choose at once"), ("{choose}", "go on"), ("{back}", "leave"))
TYPING = (("{choose}", "check and keep"), ("{back}", "back"))
UNCHECKED = (("{choose}", "try again"), ("{form.done}", "keep it unchecked"), ("{back}", "back"))

Check = Callable[[Key, str], Awaitable[Verdict]]
Keep = Callable[[Key, str], Awaitable[str]]
"""Keeps a key; gives where, in words. May raise `OSError` or `ValueError`."""


class SignIn(Dialog[str]):
    """Asks for a key until one is kept. Answers with the variable that it is kept as.

    Args:
        kinds: What can be given.
        present: Variables that are set already.
        check: Finds out whether a key is good.
        keep: Keeps it.
    """

    HELP = (
        "Choose whose key you have, paste it, and press {choose}. It is shown as dots, checked with whoever gave it "
        "out, and kept in a file that only you can read. {back} goes back, and leaves without keeping anything."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back", above=True),
        bind("form.done", "keep_unchecked"),
        *(bind_number(number, f"choose({number})") for number in range(1, 10)),
    ]

    def __init__(self, kinds: Sequence[Key], present: frozenset[str], check: Check, keep: Keep) -> None:
        super().__init__()
        self._kinds = tuple(kinds)
        self._present = present
        self._check = check
        self._keep = keep
        self._kind: Key | None = None
        self._doubtful = ""

    def compose(self) -> ComposeResult:
        """The kinds; the key; what came of it; keys."""
        with Vertical(id="sign-in", classes="dialog") as frame:
            frame.border_title = "sign in"
            yield OptionList(*map(self._option, self._kinds), id="sign-in-kinds", compact=True, markup=False)
            yield Static(id="sign-in-page", markup=False)
            yield Input(password=True, id="sign-in-key", compact=True, placeholder="paste it here")
            yield Static(id="sign-in-verdict", markup=False)
            yield KeyBar(CHOOSING)

    def on_mount(self) -> None:
        """Begins with the choice."""
        self._show(None)

    def _option(self, kind: Key) -> Option:
        number = self._kinds.index(kind) + 1
        there = "✓ " if kind.variable in self._present else "  "
        return Option(f"{number} {there}{pad(fit(kind.label, LABEL_CELLS), LABEL_CELLS)}{kind.opens}", kind.variable)

    def _show(self, kind: Key | None) -> None:
        self._kind = kind
        self._doubtful = ""
        kinds, key = self.query_one(OptionList), self.query_one(Input)
        kinds.display, key.display = kind is None, kind is not None
        self.query_one("#sign-in-page").display = kind is not None
        self._say("")
        if kind is None:
            key.value = ""
            kinds.focus()
            self._offer(CHOOSING)
            return
        set_already = f" {kind.variable} is set already; yours takes the place of one that was kept here before."
        page = f"{kind.label}: get a key at {kind.page}." + (set_already if kind.variable in self._present else "")
        self.query_one("#sign-in-page", Static).update(page)
        key.focus()
        self._offer(TYPING)

    def _offer(self, keys: Sequence[Hint]) -> None:
        self.query_one(KeyBar).show(keys)

    def _say(self, text: str, bad: bool = False) -> None:
        verdict = self.query_one("#sign-in-verdict", Static)
        verdict.update(text)
        verdict.set_class(bad, "-bad")
        verdict.display = bool(text)

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._show(self._kinds[event.option_index])

    def action_choose(self, number: int) -> None:
        """A number chooses at once, while nothing is typed."""
        if self._kind is None and number <= len(self._kinds):
            self._show(self._kinds[number - 1])

    @on(Input.Changed)
    def _forget_doubt(self, event: Input.Changed) -> None:
        if self._kind is not None and event.value != self._doubtful:
            self._doubtful = ""
            self._say("")
            self._offer(TYPING)

    @on(Input.Submitted)
    def _enter(self, event: Input.Submitted) -> None:
        event.stop()
        value = event.value.strip()
        if self._kind is not None and value:
            self._say("checking …")
            self.run_worker(self._try(self._kind, value), name="checking a key", exclusive=True, exit_on_error=False)

    async def _try(self, kind: Key, value: str) -> None:
        verdict = await self._check(kind, value)
        if verdict.state == "valid":
            await self._keep_it(kind, value, verdict.text)
        elif verdict.state == "invalid":
            self._say(f"✗ {verdict.text}", bad=True)
        else:
            self._doubtful = value
            self._say(f"? {verdict.text}")
            self._offer(UNCHECKED)

    def action_keep_unchecked(self) -> None:
        """Keeps what could not be checked; nothing else is kept that way."""
        if self._kind is not None and self._doubtful:
            keeping = self._keep_it(self._kind, self._doubtful, "Not checked.")
            self.run_worker(keeping, name="keeping a key", exclusive=True, exit_on_error=False)

    async def _keep_it(self, kind: Key, value: str, text: str) -> None:
        try:
            where = await self._keep(kind, value)
        except (OSError, ValueError) as error:
            self._say(f"✗ {text} But it could not be kept: {error}", bad=True)
            return
        self.app.notify(f"{text} The key is kept {where}.", markup=False)
        self.dismiss(kind.variable)

    def action_back(self) -> None:
        """To the choice, and from there out."""
        if self._kind is None:
            self.action_cancel()
        else:
            self._show(None)
