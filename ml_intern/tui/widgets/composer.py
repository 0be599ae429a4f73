"""Where a person writes: the prompt, the commands it offers, and what is queued."""

from __future__ import annotations

from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets._static import Static
from textual.widgets._text_area import TextArea

from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.widgets.attached import AttachedView, Output
from ml_intern.tui.widgets.completer import Completer
from ml_intern.tui.widgets.file_finder import FileFinder, as_typed, mention_before
from ml_intern.tui.widgets.key_bar import effective
from ml_intern.tui.widgets.line import Part
from ml_intern.tui.widgets.painted import PartsLine
from ml_intern.tui.widgets.prompt import Prompt
from ml_intern.tui.widgets.queue import QueueView

EDITING = (Part("an earlier prompt", "$accent", rank=1), Part("files stay as they are", "$foreground-muted", rank=6))
EDITING_KEYS = (("{prompt.send}", "go back there and send"), ("{interrupt}", "leave it"))


class Composer(Vertical):
    """Turns keys into texts. What a text means, and whether it must wait, is decided further up."""

    class Entered(Message):
        """The person sent a text: a message or a command."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Filled(Message):
        """The prompt holds text now, or no longer does."""

    class EnteredNothing(Message):
        """An empty prompt was sent, with nothing held and nothing suggested."""

    def compose(self) -> ComposeResult:
        """Completer (floating above), queue, prompt."""
        yield Completer(id="completer")
        yield QueueView(id="queue")
        yield AttachedView(id="attached")
        yield PartsLine(id="editing")
        with Horizontal(id="prompt-row"):
            yield Static("›", id="prompt-mark")
            yield Prompt(id="prompt")

    def on_mount(self) -> None:
        """Keys reach an open completer before the editor."""
        self._completer = self.query_one(Completer)
        self._queue = self.query_one(QueueView)
        self._files = FileFinder()
        self._wanted_files: str | None = None
        self._finding_files = False
        self._attached = self.query_one(AttachedView)
        self._attached.display = False
        self._editing = self.query_one("#editing", PartsLine)
        self._editing.display = False
        self._suggestion = ""
        self._has_text = False
        self._completer.display = self._queue.display = False
        self.prompt = self.query_one(Prompt)
        self.prompt.intercept = self._completer.take_key

    def work_in(self, workspace: Path | None) -> None:
        """Files are offered from there."""
        self._files.root = workspace

    def suggest(self, text: str) -> None:
        """Offers a prompt: sending an empty prompt sends it. An empty text offers none."""
        self._suggestion = text
        hint = keymap_of(self).fill("{prompt.send} sends the suggested prompt, or type your own")
        self.prompt.placeholder = hint if text else ""

    def tell_editing(self, editing: bool) -> None:
        """Says, or no longer says, that the prompt holds an earlier one."""
        keys = effective(EDITING_KEYS, keymap_of(self))
        right = tuple(Part(key, tail=does, rank=2 - at) for at, (key, does) in enumerate(keys))
        self._editing.parts = (EDITING, right)
        self._editing.display = editing

    # -------------------------------------------------------------------------------------------------- queue

    @property
    def queued(self) -> tuple[str, ...]:
        """What waits to be sent, oldest first."""
        return self._queue.prompts

    def queue(self, text: str) -> None:
        """Lets a text wait for the end of the turn."""
        self._queue.prompts = (*self.queued, text)

    def take_next(self) -> str | None:
        """The oldest queued text, which leaves the queue."""
        if not self.queued:
            return None
        first, self._queue.prompts = self.queued[0], self.queued[1:]
        self._queue.held = False
        return first

    def hold(self) -> None:
        """What is queued now waits for the person: the turn before it did not end well."""
        self._queue.held = bool(self.queued)

    def clear_queue(self) -> None:
        """Forgets what waits."""
        self._queue.prompts = ()
        self._queue.held = False

    # ---------------------------------------------------------------------------------------------- attached

    def attach(self, output: Output) -> None:
        """Lets an output go with the next prompt."""
        self._attached.outputs = (*self._attached.outputs, output)

    def take_attached(self) -> tuple[Output, ...]:
        """What is attached, which it no longer is then."""
        taken, self._attached.outputs = self._attached.outputs, ()
        return taken

    # --------------------------------------------------------------------------------------------------- keys

    @on(Prompt.Submitted)
    def _enter(self, event: Prompt.Submitted) -> None:
        event.stop()
        self.suggest("")
        self.post_message(self.Entered(event.text))

    @on(Prompt.EdgeKey)
    def _act_on_edge_key(self, event: Prompt.EdgeKey) -> None:
        event.stop()
        match event.action:
            case "prompt.send" if self._queue.held and (text := self.take_next()):
                self.post_message(self.Entered(text))
            case "prompt.send" if self._suggestion:
                self.prompt.fill(self._suggestion)
                self.prompt.send()
            case "prompt.send":
                self.post_message(self.EnteredNothing())
            case "prompt.older" if self.queued:
                self.prompt.fill(self._drop_last())
            case "prompt.older" if self._suggestion:
                self.prompt.fill(self._suggestion)
            case "prompt.older":
                self.prompt.recall_older()
            case "prompt.detach" if self._attached.outputs:
                self._attached.outputs = self._attached.outputs[:-1]
            case "prompt.drop" if self.queued:
                self._drop_last()
            case "prompt.quit":
                self.post_message(messages.Quit())

    def _drop_last(self) -> str:
        last, self._queue.prompts = self.queued[-1], self.queued[:-1]
        self._queue.held = self._queue.held and bool(self.queued)
        return last

    @on(TextArea.Changed)
    def _offer(self, event: TextArea.Changed) -> None:
        event.stop()
        self._wanted_files = None if self._files.root is None else mention_before(self._line_to_cursor())
        if self._wanted_files is None:
            self._completer.follow(self.prompt.text)
        else:
            self._completer.narrow_files(self._wanted_files)
            if not self._finding_files:
                self._finding_files = True
                self.run_worker(self._find_files(), name="finding files", exit_on_error=False)
        if bool(self.prompt.text) != self._has_text:
            self._has_text = not self._has_text
            self.post_message(self.Filled())

    @on(Completer.Picked)
    def _complete(self, event: Completer.Picked) -> None:
        event.stop()
        name = f"/{event.command.name}"
        self.prompt.fill(name if event.run else f"{name} ")
        if event.run:
            self.prompt.send()
        self.prompt.focus()

    # -------------------------------------------------------------------------------------------------- files

    def _line_to_cursor(self) -> str:
        row, column = self.prompt.cursor_location
        return self.prompt.document.get_line(row)[:column]

    async def _find_files(self) -> None:
        """Searches until what was found is what is wanted now: keys that come meanwhile start no search each."""
        try:
            while (query := self._wanted_files) is not None:
                paths = await self._files.find(query)
                if query == self._wanted_files:
                    self._completer.offer_files(paths)
                    return
        finally:
            self._finding_files = False

    @on(Completer.PickedFile)
    def _insert_file(self, event: Completer.PickedFile) -> None:
        event.stop()
        query = mention_before(self._line_to_cursor())
        if query is not None:
            row, column = self.prompt.cursor_location
            begin = (row, column - len(query) - 1)
            self.prompt.replace(f"{as_typed(event.path)} ", begin, (row, column), maintain_selection_offset=False)
        self.prompt.focus()
