"""The artifacts screen: what this session has made on the Hub, to be opened, copied and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets._option_list import Option, OptionList
from textual.widgets._static import Static

from ml_intern.core.artifacts import ArtifactError, Artifacts
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.ports import ArtifactCare, ArtifactView
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.heading import heading
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.text import cells, count, fit, one_line, pad

if TYPE_CHECKING:
    from ml_intern.core.protocol import ArtifactEvent, EventBase

KIND_CELLS = 10
VISIBILITY_CELLS = 8
SIZE_CELLS = 9
STATE_CELLS = 20
GAP = "  "
KEYS = [
    ("{move}", "choose"),
    ("{item.open}", "open"),
    ("{item.copy}", "copy link"),
    ("{item.delete}", "delete"),
    ("{item.look}", "look again"),
    ("{back}", "back"),
]
STOPPED_NOT_DELETED = frozenset({"job", "sandbox"})
NOTHING_YET = (
    "This session has put nothing on the Hub yet. Models, data sets, Spaces, buckets and jobs appear here with their "
    "links as soon as they are made."
)


class ArtifactsScreen(Backdrop[None]):
    """Lists artifacts, newest first.

    Args:
        past: Events of the session that tell of artifacts, oldest first.
        care: Looks them up and deletes them; None when nobody can.
        grace_s: How long the last question before a deletion ignores keys.
    """

    AUTO_FOCUS = "#artifacts"
    HELP = (
        "What this session has made on the Hub. {item.open:2} opens the page in a browser, {item.copy} copies its "
        "address, {item.delete} deletes it after two questions, {item.look} looks at the Hub again."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "back"),
        bind("item.open", "open"),
        bind("item.copy", "copy"),
        bind("item.delete", "delete"),
        bind("item.look", "look"),
    ]

    def __init__(self, past: Sequence[EventBase], care: ArtifactCare | None, grace_s: float = 0.0) -> None:
        super().__init__()
        self._artifacts = Artifacts()
        for event in past:
            self._artifacts.take(event)
        self._care = care
        self._grace_s = grace_s
        self._views: dict[tuple[str, str], ArtifactView] = {}
        self._note = ""
        self._looking = False

    def compose(self) -> ComposeResult:
        """How many, the list, keys."""
        yield Static(id="artifacts-sums", markup=False)
        yield Static(NOTHING_YET, id="artifacts-none", markup=False)
        yield OptionList(id="artifacts", compact=True, markup=False)
        yield KeyBar(KEYS, id="artifacts-keys")

    def on_mount(self) -> None:
        """What the session knows at once, what the Hub says a little later."""
        self._list = self.query_one(OptionList)
        self._show()
        self.action_look()

    def on_resize(self, _event: events.Resize) -> None:
        """The columns are laid out for the present width."""
        if self.is_mounted:
            self.call_after_refresh(self._show)

    def take(self, event: EventBase) -> None:
        """Something was made, changed or deleted while the screen is open."""
        if self._artifacts.take(event) and self.is_mounted:
            self._show()

    # -------------------------------------------------------------------------------------------------- showing

    @property
    def _items(self) -> list[ArtifactEvent]:
        return list(reversed(self._artifacts.items))

    @property
    def _chosen(self) -> ArtifactEvent | None:
        index, items = self._list.highlighted, self._items
        return items[index] if index is not None and index < len(items) else None

    def _show(self) -> None:
        items, kept = self._items, self._list.highlighted or 0
        width = self._list.scrollable_content_region.width or self.size.width
        there = [item for item in items if item.state != "deleted"]
        sums = (f"{count(len(there), 'thing')} of this session", "asking the Hub …" if self._looking else "")
        self.query_one("#artifacts-sums", Static).update(heading("artifacts", *sums))
        self.query_one("#artifacts-none").display = not items
        self._list.display = bool(items)
        self.query_one("#artifacts-keys", KeyBar).show(KEYS if items else KEYS[-1:])
        self._list.clear_options()
        self._list.add_options([Option(row(item, self._views.get((item.kind, item.id)), width)) for item in items])
        self._list.highlighted = min(kept, len(items) - 1) if items else None
        (self._list if items else self).focus()

    # --------------------------------------------------------------------------------------------------- acting

    def action_look(self) -> None:
        """Asks the Hub how things are now."""
        if self._care is not None and self._items and not self._looking:
            self._looking = True
            self._show()
            self.run_worker(self._look(self._care), name="looking at the Hub", exit_on_error=False)

    async def _look(self, care: ArtifactCare) -> None:
        try:
            for view in await care.look(self._items):
                self._views[view.item.kind, view.item.id] = view
        finally:
            self._looking = False
        self._show()

    def action_open(self) -> None:
        """The page in a browser."""
        if url := self._address():
            self.app.open_url(url)

    def action_copy(self) -> None:
        """The address to the clipboard."""
        if url := self._address():
            self.app.copy_to_clipboard(url)
            self.notify("Copied.", timeout=1.5, markup=False)

    def _address(self) -> str:
        item = self._chosen
        if item is None:
            return ""
        if not item.url.startswith(("https://", "http://")):
            self.notify("It has no address.", severity="warning", markup=False)
            return ""
        return item.url

    def action_delete(self) -> None:
        """Asks twice, then deletes."""
        item = self._chosen
        if item is None or self._care is None:
            return
        if item.state == "deleted":
            self.notify("It is deleted already.", severity="warning", markup=False)
            return
        if item.kind in STOPPED_NOT_DELETED:
            self.notify(f"A {item.kind} is not deleted but stopped.", severity="warning", markup=False)
            return
        name, care = f"the {item.kind} {one_line(item.id)}", self._care

        def ask_again(yes: bool | None) -> None:
            if yes:
                text = f"All files and the whole history of {name} are gone then. Nobody can bring them back."
                self.app.push_screen(Confirm("delete for good?", text, "delete it", self._grace_s), delete)

        def delete(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._delete(care, item), name="deleting", exit_on_error=False)

        found = "" if item.state != "found" else " Some output names it; this session has not made it itself."
        self.app.push_screen(Confirm("delete", f"Delete {name} from the Hub?{found}", "go on"), ask_again)

    async def _delete(self, care: ArtifactCare, item: ArtifactEvent) -> None:
        try:
            self.take(await care.delete(item))
        except ArtifactError as error:
            self.notify(f"Not deleted: {error}", severity="error", markup=False)
        else:
            self._views.pop((item.kind, item.id), None)
            self._show()
            self.notify(f"Deleted the {item.kind} {one_line(item.id)}.", markup=False)

    def action_back(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)


def row(item: ArtifactEvent, view: ArtifactView | None, width: int) -> Content:
    """One artifact in at most `width` cells: kind, id, visibility, size, state."""
    gone = item.state == "deleted" or (view is not None and view.exists is False)
    visibility = (view.visibility if view else "") or {True: "private", False: "public", None: ""}[item.private]
    size = view.size if view is not None and view.size is not None else item.size
    state, style = _state(item, view, gone)
    columns = [pad(item.kind, KIND_CELLS)]
    aside = [pad(visibility, VISIBILITY_CELLS), f"{size_text(size):>{SIZE_CELLS}}"] if not gone else []
    room = width - KIND_CELLS - sum(map(cells, aside)) - STATE_CELLS - len(GAP) * (2 + len(aside))
    if room < 16 and aside:  # the id tells more than its size
        aside = aside[:1]
        room = width - KIND_CELLS - VISIBILITY_CELLS - STATE_CELLS - len(GAP) * 3
    columns.append(pad(fit(one_line(item.id), max(8, room)), max(8, room)))
    words = GAP.join([*columns, *aside])
    return Content.assemble((words, "$foreground-muted strike" if gone else ""), GAP, (fit(state, STATE_CELLS), style))


def _state(item: ArtifactEvent, view: ArtifactView | None, gone: bool) -> tuple[str, str]:
    if gone:
        return ("deleted" if item.state == "deleted" else "✗ not there", "$foreground-muted")
    if view is not None and view.exists:
        return f"✓ {'there' if item.state == 'found' else item.state}", "$success"
    if view is not None and view.problem:
        return f"? {one_line(view.problem)}", "$warning"
    if item.state == "found":
        return "named in an output", "$foreground-muted"
    return item.state, ""


def size_text(size: int | None) -> str:
    """Bytes for people: `12 kB`, `3.4 GB`."""
    if size is None:
        return ""
    for unit, bytes_of in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_of:
            return f"{size / bytes_of:.3g} {unit}"
    return f"{size} B"
