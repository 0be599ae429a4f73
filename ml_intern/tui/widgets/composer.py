"""Where a person writes: the prompt, the commands it offers, and what is queued."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets._static import Static
from textual.widgets._text_area import TextArea

from ml_intern.tui import messages
from ml_intern.tui.drafts import Draft
from ml_intern.tui.entries import Entry, Picture, Thing
from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.waiting import Waiting
from ml_intern.tui.widgets.attached import AttachedView
from ml_intern.tui.widgets.completer import Completer
from ml_intern.tui.widgets.file_finder import FileFinder, as_begun, as_mention, mention_before, mention_start
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
        """The person sent something.

        Attributes:
            entry: What it says; what goes with it only if it was not typed now.
            typed: It was typed now, and may be a command. Else it has waited.
            at_once: A turn that runs is to be told it.
        """

        def __init__(self, entry: Entry, *, typed: bool = True, at_once: bool = False) -> None:
            super().__init__()
            self.entry = entry
            self.typed = typed
            self.at_once = at_once

    class Unsent(Message):
        """What was not sent is another now."""

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
        self._waiting = Waiting()
        self._attached = self.query_one(AttachedView)
        self._attached.display = False
        self._editing = self.query_one("#editing", PartsLine)
        self._editing.display = False
        self._suggestion = self._followed = ""
        self._has_text = self._left_over = False
        self._completer.display = self._queue.display = False
        self.prompt = self.query_one(Prompt)
        self.prompt.intercept = self._take_key

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
    def queued(self) -> tuple[Entry, ...]:
        """What waits to be sent, oldest first."""
        return self._waiting.entries

    def queue(self, entry: Entry, *, typed: bool) -> None:
        """Lets something wait for the end of the turn; what has waited before stays the first."""
        if typed:
            self._waiting.add(entry)
            self._go_on_writing()
        else:
            self._waiting.add_first(entry)
        self._show_queue()

    def sent(self) -> None:
        """What was typed does not wait: it is on its way."""
        self._waiting.sent()
        self._go_on_writing()
        self._show_queue()

    def _go_on_writing(self) -> None:
        """Brings back what was being written before a queued prompt was edited."""
        if not self.prompt.text and (aside := self._waiting.written()):
            self.put(aside)

    @property
    def has_due(self) -> bool:
        """Whether what waits may go by itself. What is left over from another time is for the person to send."""
        return bool(self.queued) and not (self._left_over and self._queue.held)

    def take_next(self) -> Entry | None:
        """The oldest that waits, which leaves the queue; those behind it may follow by themselves."""
        if first := self._waiting.take_next():
            self._queue.held = False
            self._show_queue()
        return first

    def hold(self) -> None:
        """What is queued now waits for the person: the turn before it did not end well."""
        self._queue.held = bool(self.queued)

    def clear_queue(self) -> None:
        """Forgets what waits."""
        self._waiting.clear()
        self._queue.held = False
        self._show_queue()

    def tell_running(self, running: bool, told: Sequence[Entry]) -> None:
        """Whether there is a turn that could be told something at once, and what it was told but has not heard yet."""
        self._queue.steers = running
        if self._queue.told != tuple(told):
            self._queue.told = tuple(told)
            self.post_message(self.Unsent())

    def _show_queue(self) -> None:
        self._queue.entries, self._queue.place = self._waiting.entries, self._waiting.place
        self._queue.held = self._queue.held and bool(self.queued)
        self.post_message(self.Unsent())

    def _walk(self, entry: Entry | None) -> None:
        """Puts something that waited into the prompt."""
        if entry is not None:
            self.put(entry)
            self._show_queue()

    # ------------------------------------------------------------------------------------ what is being written

    @property
    def current(self) -> Entry:
        """What would be sent now."""
        return Entry(self.prompt.whole_text, self._attached.things)

    def put(self, entry: Entry) -> None:
        """Fills the prompt, and attaches what belongs to it."""
        self._attached.things = entry.things
        self.prompt.fill(entry.text)

    def with_attached(self, text: str) -> Entry:
        """Words with what is attached, which it no longer is then."""
        things, self._attached.things = self._attached.things, ()
        return Entry(text, things)

    def give_back(self, entry: Entry) -> None:
        """Puts what could not be sent into the prompt, unless something else is there already."""
        if entry and not self.prompt.text:
            others = (thing for thing in self._attached.things if thing not in entry.things)
            self.put(Entry(entry.text, (*entry.things, *others)))

    def attach(self, thing: Thing) -> None:
        """Lets something go with the next prompt. The same image goes once."""
        if thing not in self._attached.things and not (isinstance(thing, Picture) and thing.path in self._paths):
            self._attached.things = (*self._attached.things, thing)
            self.post_message(self.Unsent())

    @property
    def _paths(self) -> set[str]:
        return {thing.path for thing in self._attached.things if isinstance(thing, Picture)}

    @property
    def has_pictures(self) -> bool:
        """Whether an image is attached."""
        return bool(self._paths)

    def tell_blind(self, why: str) -> None:
        """Says beside images why they are not shown; an empty text says nothing."""
        self._attached.blind = why

    @property
    def draft(self) -> Draft:
        """All that is not sent, to be kept."""
        folded = Entry(self.prompt.text, self._attached.things)
        return Draft(folded, (*self._queue.told, *self.queued), self.prompt.folds.in_text(folded.text))

    def restore(self, draft: Draft) -> None:
        """Takes up what was kept. What waited goes on waiting for the person."""
        self.prompt.folds.restore(draft.pastes)
        if draft.prompt and not self.current:
            self.put(draft.prompt)
        elif draft.prompt:  # somebody was quicker
            self._waiting.add(Entry(self.prompt.folds.unfold(draft.prompt.text), draft.prompt.things))
        for entry in draft.queue:
            self._waiting.add(entry)
        self._queue.held = self._left_over = bool(self.queued)
        self._show_queue()

    # --------------------------------------------------------------------------------------------------- keys

    @on(Prompt.Submitted)
    def _enter(self, event: Prompt.Submitted) -> None:
        event.stop()
        self._send(event.text)

    def _send(self, text: str) -> None:
        self.suggest("")
        self.post_message(self.Entered(Entry(text)))

    @on(Prompt.Wish)
    def _act_on_wish(self, event: Prompt.Wish) -> None:
        event.stop()
        match event.action:
            case "prompt.paste":
                self.post_message(messages.Attach(""))
            case "queue.before":
                self._walk(self._waiting.before(self.current))
            case "queue.after":
                self._walk(self._waiting.after(self.current))
            case "prompt.steer":
                self._steer()

    def _steer(self) -> None:
        """Tells the running turn what is in the prompt, or else what waits longest."""
        if text := self.prompt.whole_text.strip():
            self.prompt.take_over()
        if text or self.has_pictures:
            self.post_message(self.Entered(Entry(text), at_once=True))
        elif entry := self.take_next():
            self.post_message(self.Entered(entry, typed=False, at_once=True))

    @on(Prompt.EdgeKey)
    def _act_on_edge_key(self, event: Prompt.EdgeKey) -> None:
        event.stop()
        match event.action:
            case "prompt.send" if self.has_pictures:
                self._send("")
            case "prompt.send" if self._queue.held and (entry := self.take_next()):
                self.post_message(self.Entered(entry, typed=False))
            case "prompt.send" if self._suggestion:
                self.prompt.fill(self._suggestion)
                self.prompt.send()
            case "prompt.send":
                self.post_message(self.EnteredNothing())
            case "prompt.older" if self.queued:
                self._walk(self._waiting.before(self.current))
            case "prompt.older" if self._suggestion:
                self.prompt.fill(self._suggestion)
            case "prompt.older":
                self.prompt.recall_older()
            case "prompt.detach" if self._attached.things:
                self._remove(len(self._attached.things) - 1)
            case "prompt.drop" if self.queued:
                self._waiting.drop_last()
                self._show_queue()
            case "prompt.quit":
                self.post_message(messages.Quit())

    @on(AttachedView.Dropped)
    def _drop_attached(self, event: AttachedView.Dropped) -> None:
        event.stop()
        self._remove(event.number)

    def _remove(self, number: int) -> None:
        things = self._attached.things
        self._attached.things = (*things[:number], *things[number + 1 :])
        self.post_message(self.Unsent())

    @on(TextArea.Changed)
    def _offer(self, event: TextArea.Changed) -> None:
        event.stop()
        self._catch_up()
        if bool(self.prompt.text) != self._has_text:
            self._has_text = self._queue.writing = not self._has_text
            self.post_message(self.Filled())
        self.post_message(self.Unsent())

    def _take_key(self, key: str) -> bool:
        """An open completer's keys are about what is typed now, also when it came in one burst with the key."""
        self._catch_up()
        return self._completer.take_key(key)

    def _catch_up(self) -> None:
        """Offers what fits the text now."""
        if self.prompt.text == self._followed:
            return
        self._followed = self.prompt.text
        self._wanted_files = None if self._files.root is None else mention_before(self._line_to_cursor())
        if self._wanted_files is None:
            self._completer.follow(self._followed)
        else:
            line = self._line_to_cursor()
            self._completer.narrow_files(self._wanted_files, quoted=line[mention_start(line) :].startswith('@"'))
            if not self._finding_files:
                self._finding_files = True
                self.run_worker(self._find_files(), name="finding files", exit_on_error=False)

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
        before = self._line_to_cursor()
        if mention_before(before) is not None:
            row, column = self.prompt.cursor_location
            begin = (row, mention_start(before))
            # Into a folder one may want to go on; a file is done.
            goes_on = event.path.endswith("/") and not event.done
            text = as_begun(event.path) if goes_on else f"{as_mention(event.path)} "
            self.prompt.replace(text, begin, (row, column), maintain_selection_offset=False)
        self.prompt.focus()
