"""`ask_user`: a question to the person, with answers to choose from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from ml_intern.core.approvals.edits import printable
from ml_intern.core.display import TextBlock
from ml_intern.core.protocol import QuestionAsked, QuestionOption
from ml_intern.core.questions import Answered, Questions
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec

MOST_OPTIONS = 8

_DESCRIPTION = """\
Asks the person something that only they can decide, and waits for the answer. Use it when a request can be read in \
ways that lead to different work and the difference costs real time or money; not for permission (approvals are asked \
by themselves) and not for what you can find out. One short question with the answers that make sense as options, the \
one you would choose first; they can always answer in their own words unless `free_text` is false. Where nobody is \
there, the `default` is taken (the first option if you name none), so let it be the safe one."""

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Option(BaseModel):
    """One of the answers to choose from."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    label: Annotated[_Line, Field(max_length=120, description="The answer, in a few words.")]
    description: Annotated[str, Field(max_length=600, description="What it means or entails, in one sentence.")] = ""

    @model_validator(mode="before")
    @classmethod
    def _label_alone(cls, value: Any) -> Any:
        return {"label": value} if isinstance(value, str) else value

    @field_validator("label", "description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        return " ".join(printable(text).split())


class AskParams(Params):
    """Parameters of `ask_user`."""

    question: Annotated[_Line, Field(max_length=2_000, description="The question.")]
    options: Annotated[list[Option], Field(max_length=MOST_OPTIONS, description="Answers to choose from.")] = Field(
        default_factory=list
    )
    multiple: Annotated[bool, Field(description="Whether several options may be chosen.")] = False
    free_text: Annotated[bool, Field(description="Whether an answer in other words is welcome too.")] = True
    default: Annotated[
        str, Field(description="Label of the option that is taken where nobody can answer; the first one if empty.")
    ] = ""

    @model_validator(mode="after")
    def _answerable(self) -> AskParams:
        labels = [option.label for option in self.options]
        if len(set(labels)) < len(labels):
            raise ValueError("every option needs a label of its own")
        if not labels and not self.free_text:
            raise ValueError("without options the answer must be free text")
        if self.default and self.default not in labels:
            known = ", ".join(labels) or "there are none"
            raise ValueError(f"default must be the label of an option ({known})")
        return self


def create_ask_user_tool(questions: Questions) -> ToolSpec:
    """The tool.

    Args:
        questions: Where questions wait for the person.
    """

    async def handle(params: AskParams, context: ToolContext) -> ToolResult:
        asked = QuestionAsked(
            question_id=context.call_id,
            question=printable(params.question),
            options=tuple(QuestionOption(label=item.label, description=item.description) for item in params.options),
            multiple=params.multiple,
            free_text=params.free_text,
            default=params.default or (params.options[0].label if params.options else ""),
        )
        answered = await questions.ask(asked, context.emit)
        text = _told(answered)
        return ToolResult(text, display=(TextBlock(text=f"{asked.question}\n\n{text}"),))

    return ToolSpec("ask_user", _DESCRIPTION, AskParams, handle)


def _told(answered: Answered) -> str:
    chosen, words = "; ".join(answered.choices), printable(answered.text).strip()
    if answered.how == "dismissed":
        return _DISMISSED
    if answered.how == "default":
        return f"Nobody is here: the default was taken: {chosen}. Say so in your report." if chosen else _NOBODY
    parts = [f"The user chose: {chosen}." if chosen else "", f"The user answered: {words}" if words else ""]
    return "\n".join(part for part in parts if part)


_DISMISSED = (
    "The user closed the question without an answer. Do not ask it again: take the safest reading, say which one, and "
    "go on; or stop and say what you need."
)
_NOBODY = "Nobody is here, and there is no default: decide yourself, and say in your report what you chose."
