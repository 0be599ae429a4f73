"""The hardware picker: what there is, what it costs, and whether a model fits on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import ItemGrid, Vertical
from textual.widgets._input import Input
from textual.widgets._option_list import Option, OptionList
from textual.widgets._static import Static

from ml_intern.core.fit import Dtype, Estimate, FitError, Method, Optimizer, Workload, estimate, parse_params
from ml_intern.core.fit_guess import guess
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals import hardware_text as words
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.modals.wish import Wish
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.form import Switch, TextField
from ml_intern.tui.widgets.key_bar import Hint, KeyBar

if TYPE_CHECKING:
    from ml_intern.core.jobs import Flavor
    from ml_intern.core.jobs_backend import JobsBackend

DTYPES = (("bf16", "bf16"), ("fp16", "fp16"), ("fp32", "fp32"))
OPTIMIZERS = (("adamw", "AdamW"), ("adamw-8bit", "AdamW 8 bit"))
YES_NO = (("yes", "yes"), ("no", "no"))
UNKNOWN = Workload(1.0)
NOTHING_RENTED = "hardware to rent is listed with a Hugging Face token"
ROOMY_LINES = 24
"""On a screen of so many lines there is room for more than the list."""


class HardwarePicker(Dialog[Wish]):
    """Lists hardware beside an estimate of what a model needs. Answers with a choice, or None.

    Args:
        jobs: Where hardware and prices come from.
        wish: What is asked for now.
        model: Name or size of a model to begin with.
        script: Source that is to run, to read the model from.
        fields: Which of `timeout` and `namespace` can be changed.
        verb: What Enter does.
    """

    HELP = (
        "Hardware with its price, and an estimate of the memory a model needs on it. Type the model's name or size; "
        "{picker.up} and {picker.down} choose, {fields} goes to the other fields, {form.before} and {form.after} "
        "change a field that has arrows. {hardware.reckoning} shows how the estimate is reckoned. {choose} takes the "
        "flavor, {back} leaves everything as it was."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("hardware.choose", "choose"),
        bind("hardware.reckoning", "reckoning"),
        bind("picker.down", "move('cursor_down')"),
        bind("picker.up", "move('cursor_up')"),
        bind("picker.page_down", "move('page_down')"),
        bind("picker.page_up", "move('page_up')"),
    ]

    def __init__(
        self,
        jobs: JobsBackend,
        wish: Wish | None = None,
        *,
        model: str = "",
        script: str = "",
        fields: Sequence[str] = (),
        verb: str = "choose",
    ) -> None:
        super().__init__()
        self._jobs = jobs
        self._wish = wish or Wish("")
        self._fields = tuple(fields)
        self._verb = verb
        self._model, self._work = guess(script) or (model, UNKNOWN)
        self._flavors: tuple[Flavor, ...] = ()
        self._needs: Estimate | None = None
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Fields, list, sum, keys."""
        work = self._work
        with Vertical(id="hardware", classes="dialog") as frame:
            frame.border_title = "hardware"
            yield TextField("model", self._model, "name or size, for example Qwen/Qwen3-8B or 8B", id="fit-model")
            with ItemGrid(id="fit-fields", min_column_width=22):
                yield Switch("method", words.METHODS, work.method, id="fit-method")
                yield Switch("type", DTYPES, work.dtype, id="fit-dtype")
                yield Switch("optimizer", OPTIMIZERS, work.optimizer, id="fit-optimizer")
                yield Switch("checkpointing", YES_NO, "yes" if work.checkpointing else "no", id="fit-checkpointing")
                yield TextField("tokens", str(work.sequence), id="fit-sequence")
                yield TextField("batch", str(work.batch), id="fit-batch")
                yield TextField("rank", str(work.rank), id="fit-rank")
            with ItemGrid(id="rent-fields", min_column_width=30):
                yield TextField("time", self._wish.timeout, "90m, 2h, 1h30m", id="rent-timeout")
                yield TextField("paid by", self._wish.namespace, "your own account", id="rent-namespace")
            yield Static(id="hardware-heading", markup=False)
            yield OptionList(id="hardware-list", compact=True, markup=False)
            yield LineView(id="hardware-reckoning")
            yield Static(id="hardware-rental", markup=False)
            yield Static(id="hardware-total", markup=False)
            yield KeyBar(self._keys(), id="hardware-keys")

    def on_mount(self) -> None:
        """Begins with what is known; today's prices follow."""
        self._list = self.query_one("#hardware-list", OptionList)
        self._body = self.query_one(LineView)
        self._body.display = self._body.can_focus = False
        for name in ("timeout", "namespace"):
            field = self.query_one(f"#rent-{name}", Input).parent
            assert field is not None
            field.display = name in self._fields
        self.query_one("#rent-fields").display = bool(self._fields)
        self.query_one("#hardware-rental").display = "timeout" in self._fields
        self._list.can_focus = False
        for field in self.query(Input):
            field.cursor_blink = False
        self.query_one("#fit-model", Input).focus()
        self._reckon()
        self.run_worker(self._refresh_prices(), name="asking for hardware and prices", exit_on_error=False)

    async def _refresh_prices(self) -> None:
        await self._jobs.refresh()
        self._show()

    def on_resize(self, _event: events.Resize) -> None:
        """The columns are laid out for the present width."""
        if self.is_mounted:
            self.call_after_refresh(self._show)

    # ------------------------------------------------------------------------------------------------- reckoning

    @on(Input.Changed)
    @on(Switch.Changed)
    def _reckon_anew(self, event: Input.Changed | Switch.Changed) -> None:
        event.stop()
        self._reckon()

    def _reckon(self) -> None:
        self._needs, self._problem = None, ""
        method = cast("Method", self._chosen("method"))
        for name, used in (("optimizer", method != "inference"), ("checkpointing", method != "inference")):
            self.query_one(f"#fit-{name}").disabled = not used
        self.query_one("#fit-rank", Input).disabled = method not in ("lora", "qlora")
        model = self.query_one("#fit-model", Input).value.strip()
        if model:
            try:
                self._needs = estimate(self._workload(model, method))
            except FitError as error:
                self._problem = str(error)
        self._show()

    def _workload(self, model: str, method: Method) -> Workload:
        return replace(
            UNKNOWN,
            params=parse_params(model),
            method=method,
            dtype=cast("Dtype", self._chosen("dtype")),
            optimizer=cast("Optimizer", self._chosen("optimizer")),
            rank=self._number("rank"),
            sequence=self._number("sequence"),
            batch=self._number("batch"),
            checkpointing=self._chosen("checkpointing") == "yes",
        )

    def _chosen(self, name: str) -> str:
        return self.query_one(f"#fit-{name}", Switch).value

    def _number(self, name: str) -> int:
        text = self.query_one(f"#fit-{name}", Input).value.replace(",", "").strip()
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            label = {"sequence": "tokens"}.get(name, name)
            raise FitError(f"{text!r} is no number for {label}: write a whole number.")
        return int(text)

    # --------------------------------------------------------------------------------------------------- showing

    @property
    def _seconds(self) -> float | None:
        """The time that was typed, if there is one to type and it is one."""
        typed = self.query_one("#rent-timeout", Input).value
        return words.seconds_of(typed) if "timeout" in self._fields else None

    def _show(self) -> None:
        kept = self._highlighted or self._wish.flavor
        self._flavors = self._jobs.flavors()
        rented = any(not flavor.runs_on for flavor in self._flavors)
        self.query_one("#hardware").border_subtitle = "" if rented else NOTHING_RENTED
        width, seconds = self._list.scrollable_content_region.width or 80, self._seconds
        heading = words.heading(self._flavors, width, seconds=seconds, fits=self._needs is not None)
        self.query_one("#hardware-heading", Static).update(heading)
        rows = [
            words.row(
                flavor,
                self._flavors,
                width,
                seconds=seconds,
                needs=self._needs,
                current=flavor.name == self._wish.flavor,
            )
            for flavor in self._flavors
        ]
        names = [flavor.name for flavor in self._flavors]
        with self._list.prevent(OptionList.OptionHighlighted):
            self._list.clear_options()
            self._list.add_options([Option(row) for row in rows])
            self._list.highlighted = names.index(kept) if kept in names else 0 if names else None
        method, roomy = cast("Method", self._chosen("method")), self.size.height >= ROOMY_LINES
        self.query_one("#hardware-total", Static).update(words.total(self._needs, self._problem, method, parts=roomy))
        if self._needs is not None:
            self._body.show_pieces(words.reckoning(self._needs, method))
        self._show_rental()

    def _show_rental(self) -> None:
        typed = self.query_one("#rent-timeout", Input).value
        flavor = next((flavor for flavor in self._flavors if flavor.name == self._highlighted), None)
        self.query_one("#hardware-rental", Static).update(words.rental(flavor, self._seconds, typed))

    @property
    def _highlighted(self) -> str:
        index = self._list.highlighted
        return self._flavors[index].name if index is not None and index < len(self._flavors) else ""

    @on(OptionList.OptionHighlighted)
    def _tell_price(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._show_rental()

    def _keys(self) -> list[Hint]:
        return [
            ("{choose}", self._verb),
            ("{picker.up}{picker.down}", "hardware"),
            ("{fields}", "fields"),
            ("{hardware.reckoning}", "how it is reckoned"),
            ("{back}", "leave"),
        ]

    # ------------------------------------------------------------------------------------------------- answering

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _choose(self, event: Input.Submitted | OptionList.OptionSelected) -> None:
        event.stop()
        if "timeout" in self._fields and self._seconds is None:
            self.query_one("#rent-timeout", Input).focus()
        elif self._highlighted:
            values = {name: self.query_one(f"#rent-{name}", Input).value.strip() for name in self._fields}
            self.dismiss(Wish(self._highlighted, **values))

    def action_choose(self) -> None:
        """Enter on a field that is not typed into chooses too."""
        self._list.action_select()

    def action_move(self, how: str) -> None:
        """Moves in the list, or in the reckoning where that is shown, whatever has the focus."""
        if not self._body.display:
            getattr(self._list, f"action_{how}")()
        else:
            getattr(self._body, f"action_{how.replace('cursor', 'scroll')}")()

    def action_reckoning(self) -> None:
        """Shows how the estimate comes about in place of the list, and back."""
        if self._needs is None and not self._body.display:
            return
        self._body.display = not self._body.display
        self._list.display = not self._body.display
        for name in ("#hardware-heading", "#fit-fields"):
            self.query_one(name).display = self._list.display
        self.query_one("#rent-fields").display = self._list.display and bool(self._fields)

    def action_back(self) -> None:
        """Leaves the reckoning, then the picker."""
        if self._body.display:
            self.action_reckoning()
        else:
            self.dismiss(None)
