"""The agent's question to the person: options to choose from, a line for other words, and the right not to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets._input import Input
from textual.widgets._option_list import OptionList
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind, bind_number
from ml_intern.tui.modals.base import GraceDialog
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.text import clean, one_line

if TYPE_CHECKING:
    from ml_intern.core.protocol import QuestionAsked


@dataclass(frozen=True, slots=True)
class Chosen:
    """How the person answered.

    Attributes:
        question_id: The question.
        choices: Labels of the chosen options.
        text: Their own words.
        dismissed: They do not want to answer.
    """

    question_id: str
    choices: tuple[str, ...] = ()
    text: str = ""
    dismissed: bool = False

    def fields(self) -> dict[str, Any]:
        """The answer as fields of an operation."""
        return {
            "question_id": self.question_id,
            "choices": self.choices,
            "text": self.text,
            "dismissed": self.dismissed,
        }


class QuestionDialog(GraceDialog[Chosen]):
    """Asks a question. Closed with None it was withdrawn.

    Args:
        question: What is asked.
        grace_s: How long keys decide nothing.
    """

    HELP = (
        "The agent asks something. A number, or {move} and {question.send}, chooses an answer; where several fit, "
        "{question.mark} marks them and {question.send} sends them. {question.write} goes to the line for your own "
        "words. {question.leave} closes the question without an answer."
    )
    DECISIONS: ClassVar[frozenset[str]] = frozenset({"choose", "mark", "send", "escape"})
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("question.leave", "escape"),
        bind("question.send", "send"),
        bind("question.mark", "mark"),
        bind("question.write", "write"),
        *(bind_number(number, f"choose({number})") for number in range(1, 10)),
    ]

    def __init__(self, question: QuestionAsked, grace_s: float) -> None:
        super().__init__(grace_s)
        self._asked = question
        self._marked: set[int] = set()

    def compose(self) -> ComposeResult:
        """The question, the options, the line, the keys."""
        with Vertical(id="question", classes="dialog") as frame:
            frame.border_title = "the agent asks"
            with VerticalScroll(id="question-text", can_focus=False):
                yield Static(clean(self._asked.question), markup=False)
            yield OptionList(id="question-options", compact=True, markup=False)
            yield Input(id="question-words", placeholder="in your own words", compact=True)
            yield KeyBar(id="question-keys")

    def on_mount(self) -> None:
        """Begins at the default; without options, in the line."""
        super().on_mount()
        self._options = self.query_one(OptionList)
        self._words = self.query_one(Input)
        self._options.display = bool(self._asked.options)
        self._words.display = self._asked.free_text
        self._options.add_options([self._row(index) for index in range(len(self._asked.options))])
        labels = [option.label for option in self._asked.options]
        if labels:
            self._options.highlighted = labels.index(self._asked.default) if self._asked.default in labels else 0
            self._options.focus()
        else:
            self._words.focus()
        self._show_keys()

    def on_answers(self) -> None:
        """The keys light up."""
        self._show_keys()

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        """Other keys work in the line than in the list."""
        if self.is_mounted:
            self._show_keys()

    @property
    def _writing(self) -> bool:
        return self.focused is self._words

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While words are typed, letters and numbers are just that."""
        if not self.is_mounted:
            return False
        if self._writing and action in {"choose", "mark", "write"}:
            return False
        possible = {"mark": self._asked.multiple, "write": self._asked.free_text}
        return possible.get(action, True) and super().check_action(action, parameters)

    def action_choose(self, number: int) -> None:
        """Takes an option by its number: marks it where several fit, else answers with it."""
        if number > len(self._asked.options):
            return
        self._options.highlighted = number - 1
        if self._asked.multiple:
            self.action_mark()
        else:
            self._answer([number - 1])

    def action_mark(self) -> None:
        """Marks the option under the cursor, or takes the mark away."""
        index = self._options.highlighted
        if index is not None:
            self._marked ^= {index}
            self._options.replace_option_prompt_at_index(index, self._row(index))

    def action_write(self) -> None:
        """Goes to the line."""
        self._words.focus()

    def action_send(self) -> None:
        """Answers with the line's words, with what is marked, or with what is under the cursor."""
        chosen = sorted(self._marked)
        if self._writing:
            if self._words.value.strip() or chosen:
                self._answer(chosen)
        elif chosen:
            self._answer(chosen)
        elif self._options.highlighted is not None:
            self._answer([self._options.highlighted])

    @on(OptionList.OptionSelected)
    def _click(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if self.answers:
            self.action_choose(event.option_index + 1)

    def action_escape(self) -> None:
        """Leaves the line; outside of it, gives no answer."""
        if self._writing and self._asked.options:
            self._options.focus()
        else:
            self.dismiss(Chosen(self._asked.question_id, dismissed=True))

    def _answer(self, chosen: list[int]) -> None:
        labels = tuple(self._asked.options[index].label for index in chosen)
        words = self._words.value.strip() if self._asked.free_text else ""
        self.dismiss(Chosen(self._asked.question_id, labels, words))

    def _row(self, index: int) -> Content:
        option = self._asked.options[index]
        mark = ("[x] " if index in self._marked else "[ ] ") if self._asked.multiple else ""
        row = Content.assemble((f"{index + 1} ", "$accent"), mark, one_line(option.label, 200))
        if not option.description:
            return row
        return Content("\n").join([row, Content.styled(f"  {one_line(option.description, 600)}", "$foreground-muted")])

    def _show_keys(self) -> None:
        asked, options = self._asked, len(self._asked.options)
        if self._writing:
            keys = [
                ("{question.send}", "send"),
                ("{question.leave}", "back to the options" if options else "no answer"),
            ]
        else:
            number = f"1-{options}" if options > 1 else "1"
            keys = [(number, "mark" if asked.multiple else "choose"), ("{move}", "move")]
            keys += [("{question.mark}", "mark")] if asked.multiple else []
            keys += [("{question.send}", "send" if asked.multiple else "choose")]
            keys += [("{question.write}", "own words")] if asked.free_text else []
            keys += [("{question.leave}", "no answer")]
        self.query_one("#question-keys", KeyBar).show(keys, lit=self.answers)
