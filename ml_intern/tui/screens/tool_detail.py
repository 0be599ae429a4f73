"""One tool call in full: its parts as tabs, with search; the calls before and after it without closing."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.timer import Timer

from ml_intern.tui.keys.keymap import bind, bind_number
from ml_intern.tui.messages import CopyText, FollowLink, Operate
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.screens.showing import Calls
from ml_intern.tui.widgets.call_detail import Tab, ToolDetail, first_tab, tabs_of
from ml_intern.tui.widgets.key_bar import Hint, KeyBar
from ml_intern.tui.widgets.links import PATH
from ml_intern.tui.widgets.search_bar import SearchFrame
from ml_intern.tui.widgets.tabs import PaneTabs
from ml_intern.tui.widgets.text import duration, one_line
from ml_intern.tui.widgets.tool_model import GLYPHS, ToolEntry, can_be_stopped, file_of, subject_of

LOOK_S = 0.4
"""How often a call that runs is looked at again."""
TABS: tuple[Tab, ...] = ("all", "input", "output", "transcript", "log")


class ToolDetailScreen(Dialog[None]):
    """Shows a call over the panes.

    Args:
        entry: The call.
        calls: The list it is in; None when it stands for itself.
    """

    HELP = (
        "All of one tool call. {detail.input} shows what it was called with, {detail.output} what came of it, "
        "{detail.transcript} what a sub-agent did for it, {detail.log} what it said while it ran, {detail.all} all of "
        "that; {detail.next_tab} goes from one to the next. {detail.before} and {detail.after} go to the calls before "
        "and after it. {find} or {search} searches while you type, {find.next} and {find.before} go on. "
        "{detail.copy} copies what is shown, {detail.stop} ends a call that runs, {form.editor} opens its file in "
        "your editor, {diff.layout} lays out differences side by side or one below the other."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "cancel"),
        bind("call", "cancel"),
        bind("find", "search", above=True),
        bind("search", "search_anywhere"),
        *(bind(f"detail.{tab}", f"tab('{tab}')") for tab in TABS),
        *(bind_number(number, f"nth_tab({number})") for number in range(1, len(TABS) + 1)),
        bind("detail.next_tab", "step_tab(1)", above=True),
        bind("detail.tab_before", "step_tab(-1)", above=True),
        bind("detail.before", "step(-1)"),
        bind("detail.after", "step(1)"),
        bind("detail.copy", "copy"),
        bind("detail.stop", "stop"),
        bind("form.editor", "open_file"),
    ]

    def __init__(self, entry: ToolEntry, calls: Calls | None = None) -> None:
        super().__init__()
        self._entry = entry
        self._calls = calls
        self._tab = first_tab(entry)
        self._looking: Timer | None = None

    def compose(self) -> ComposeResult:
        """Tabs, the call, the keys; the search line comes when it is asked for."""
        with SearchFrame(id="tool-detail", classes="dialog"):
            yield PaneTabs(tabs_of(self._entry), id="tool-detail-tabs")
            yield ToolDetail(id="tool-detail-body")
            yield KeyBar(id="tool-detail-keys")

    def on_mount(self) -> None:
        """Begins at the top; with a call that runs, at the end of what it has said."""
        self._frame = self.query_one(SearchFrame)
        self._tabs = self.query_one(PaneTabs)
        self._body = self.query_one(ToolDetail)
        self._frame.search_in(self._body)
        self._show()
        self._body.focus()

    # -------------------------------------------------------------------------------------------------- showing

    def _show(self) -> None:
        """Shows the present part of the present call."""
        entry = self._entry
        if self._tab not in tabs_of(entry):
            self._tab = "all"
        self._body.show_entry(entry, self._now(), self._tab)
        if not entry.ended and self._tab in {"output", "transcript", "log"}:
            self._body.follow()
        self._entitle()
        if self._looking is None and not entry.ended and self._calls is not None:
            self._looking = self.set_interval(LOOK_S, self._look)

    def _look(self) -> None:
        """The call may have gone on."""
        entry = self._calls.find(self._entry.call_id) if self._calls is not None else None
        if entry is not None:
            self._entry = entry
            self._body.renew(entry, self._now())
            self._entitle()
        if (entry is None or entry.ended) and self._looking is not None:
            self._looking.stop()
            self._looking = None

    def _now(self) -> float | None:
        return self._calls.now() if self._calls is not None and not self._entry.ended else None

    def _entitle(self) -> None:
        entry = self._entry
        now = self._now()
        took = entry.seconds if now is None else entry.elapsed(now)
        parts = [f"{GLYPHS.get(entry.state, '▸')} {one_line(entry.tool, 60)}", one_line(entry.state, 30)]
        parts += [duration(took if entry.ended else int(took))] if took is not None else []
        self._frame.border_title = Content(" · ".join(parts))
        self._frame.border_subtitle = Content(one_line(entry.summary, 60))
        self._tabs.show_names(tabs_of(entry))
        self._tabs.active = self._tab
        self.query_one("#tool-detail-keys", KeyBar).show(self._hints())

    def _hints(self) -> list[Hint]:
        tabs = tabs_of(self._entry)
        hints: list[Hint] = [("{move}", "scroll")]
        hints += [("{detail.stop}", "end this call")] if self._can_stop else []
        hints += [(f"{{detail.{tab}}}", tab) for tab in tabs]
        hints += [("{detail.before}{detail.after}", "other calls")] if self._calls is not None else []
        hints += [("{find}", "search"), ("{detail.copy}", "copy")]
        hints += [("{diff.layout}", "side by side or not")] if self._body.has_differences else []
        hints += [("{form.editor}", "open the file")] if file_of(self._entry) else []
        return [*hints, ("{back}", "close")]

    # ------------------------------------------------------------------------------------------------------ keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a search is typed, keys are text; parts that the call does not have have no key."""
        if action in {"back", "cancel", "help", "search_anywhere"}:
            return True
        if not isinstance(self.focused, ToolDetail):
            return False
        match action, parameters:
            case "tab", (tab,):
                return tab in tabs_of(self._entry)
            case "nth_tab", (int(number),):
                return number <= len(tabs_of(self._entry))
            case "step", _:
                return self._calls is not None
            case "stop", _:
                return self._can_stop
            case "open_file", _:
                return bool(file_of(self._entry))
        return True

    def action_back(self) -> None:
        """Leaves the search, then the screen."""
        if self._frame.search_open:
            self._frame.end_search()
        else:
            self.dismiss(None)

    async def action_search(self) -> None:
        """Opens the search line."""
        await self._frame.open_search()

    async def action_search_anywhere(self) -> None:
        """The same, with a key that is never text."""
        await self._frame.open_search()

    def action_tab(self, tab: Tab) -> None:
        """Shows a part of the call."""
        self._frame.end_search()
        self._tab = tab
        self._show()

    def action_nth_tab(self, number: int) -> None:
        """Shows the part of that number."""
        self.action_tab(tabs_of(self._entry)[number - 1])

    def action_step_tab(self, step: int) -> None:
        """Shows the next part, or the one before."""
        tabs = tabs_of(self._entry)
        self.action_tab(tabs[(tabs.index(self._tab) + step) % len(tabs)])

    @on(PaneTabs.Chosen)
    def _choose_tab(self, event: PaneTabs.Chosen) -> None:
        event.stop()
        self.action_tab(next(tab for tab in TABS if tab == event.name))

    async def action_step(self, step: int) -> None:
        """Shows the call before or after this one."""
        if self._calls is None:
            return
        other = self._calls.neighbour(self._entry.call_id, step)
        if other is not None and self._calls.whole is not None:
            other = await self._calls.whole(other.call_id)
        if other is None:
            self.notify("This is the last call." if step > 0 else "This is the first call.", timeout=2, markup=False)
            return
        self._frame.end_search()
        self._entry = other
        self._calls.choose(other.call_id)
        self._show()

    def action_copy(self) -> None:
        """Copies what the tab shows: all of the output, the log, or what the call is about."""
        entry = self._entry
        match self._tab:
            case "output":
                name, text = f"output of {entry.tool}", entry.output if entry.ended else entry.live_output
            case "log":
                name, text = f"log of {entry.tool}", entry.live_output
            case "transcript":
                name, text = f"transcript of {entry.tool}", self._body.text
            case _:
                name, text = subject_of(entry)
        self.post_message(CopyText(text, name))

    @property
    def _can_stop(self) -> bool:
        live = self._calls is not None and self._calls.whole is None
        return live and can_be_stopped(self._entry)

    def action_stop(self) -> None:
        """Ends the call; the turn goes on."""
        self.post_message(Operate("stop_call", tool_call_id=self._entry.call_id))

    def action_open_file(self) -> None:
        """Opens the file that the call has read or written in the person's own editor."""
        path = file_of(self._entry)
        self.post_message(FollowLink(path, f"{PATH}{path}"))
