"""A model that works through a long night on one prompt, and all that goes wrong meanwhile.

    night = Night(iterations=2_000)
    with ScriptedLLM(night) as server:
        ...  # an agent with `tools_of_the_night()` and one prompt
    assert night.problems == [] and night.finished

Every reply of the model calls tools. Before each of them the connection breaks off at another byte, and one more fault
happens, of the server or of the model, in turn. The model counts four characters as a token and refuses what does not
fit its window. Summaries that it is asked for are as unreliable as everything else.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ml_intern.core.tools.spec import ToolResult, ToolSpec
from tests.support.harness import tool
from tests.support.llm_script import CutStyle, Raw, Step, call, error, reasoning, stream_items, text, tools

PROMPT = "Work through the night: carry the plan to its end."
FINISHED = "All of it is done."
CHARS_PER_TOKEN = 4

Play = Callable[[int], Step]
"""Makes a step from the number of the iteration it belongs to; no two are alike."""

TALK = "I compared this with what the last run gave, and the difference is within the noise of the seeds. " * 8
CUT_STYLES: tuple[CutStyle, ...] = ("close", "reset", "end")


# ------------------------------------------------------------------------------------------------------ the work


def works(number: int, name: str, arguments: dict[str, Any], *, well: bool = True, content: str = "") -> Step:
    """One call; its id tells how it must end."""
    return tools(call(name, arguments, f"{'well' if well else 'ill'}-{number:06}-{name}"), content=content, pieces=2)


def _file(number: int) -> str:
    return f"notes/{number // len(WORK) % 20}.md"


def _lines(number: int) -> str:
    return "\n".join(f"{number}.{line} the loss of this step" for line in range(60))


def _several(number: int) -> Step:
    calls = (call("small", {"value": f"{number} {n}"}, f"well-{number}-{n}") for n in range(3))
    return tools(*calls, content="Three at once.")


WORK: tuple[Play, ...] = (
    lambda n: works(n, "bash", {"command": f"echo step {n}; seq 1 40"}, content=TALK),
    lambda n: works(n, "write", {"path": _file(n), "content": _lines(n)}),
    lambda n: works(n, "read", {"path": _file(n)}, content=TALK),
    lambda n: works(n, "edit", {"path": _file(n), "old_str": f"{n - 2}.7 the loss", "new_str": f"{n - 2}.7 a loss"}),
    lambda n: works(n, "large", {"value": str(n)}),
    _several,
    lambda n: works(n, "bash", {"command": f"echo no {n}; exit 3"}, well=False, content=TALK),
    lambda n: works(n, "fails", {"value": str(n)}, well=False).no_usage(),
    lambda n: works(n, "raises", {"value": str(n)}, well=False, content=TALK),
    lambda n: works(n, "huge", {"value": str(n)}),
)


def tools_of_the_night() -> tuple[ToolSpec, ...]:
    """The tools the model calls beside the built-in ones."""

    def raises(arguments: Any, _context: Any) -> str:
        raise RuntimeError(f"it broke at {arguments.value}")

    return (
        tool("small", lambda arguments, _: f"done {arguments.value}"),
        tool("large", lambda arguments, _: f"row {arguments.value} 0.731\n" * 1_000),
        tool("huge", lambda arguments, _: f"row {arguments.value} 0.731\n" * 4_000),
        tool("fails", lambda arguments, _: ToolResult(f"nothing found for {arguments.value}", ok=False)),
        tool("raises", raises),
    )


def _plan(status: str) -> Step:
    item = {"id": "1", "content": "carry it to its end", "status": status}
    return works(0, "plan_tool", {"todos": [item]})


# ----------------------------------------------------------------------------------------------------- the faults

OF_THE_SERVER: dict[str, Play] = {
    "429": lambda _: error(429, {"message": "Rate limit reached."}),
    "429, Retry-After in seconds": lambda _: error(429, "slow down", {"Retry-After": "0.02"}),
    "429, Retry-After as a date": lambda _: error(429, "later", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "429, retry-after-ms": lambda _: error(429, "", {"retry-after-ms": "15"}),
    "500": lambda _: error(500, "boom"),
    "502, a page": lambda _: error(502, "<html><body>Bad Gateway</body></html>"),
    "503": lambda _: error(503, {"message": "The model is overloaded."}),
    "503, Retry-After": lambda _: error(503, "", {"Retry-After": "0"}),
    "error in the stream": lambda n: text(f"Half of {n}", 3).error_after(2, "the engine died", code=500),
    "piece that is no JSON": lambda n: text(f"Half of {n}", 3).malformed_chunk(2),
    "no finish reason": lambda n: works(n, "small", {"value": f"unfinished {n}"}).finish(None),
}
"""Nothing of these replies counts: the agent asks again."""

OF_THE_MODEL: dict[str, Play] = {
    "arguments that are no JSON": lambda n: tools(call("small", f'{{"value": "{n}', f"ill-{n}-json")),
    "arguments that are a list": lambda n: tools(call("large", f'["{n}"]', f"ill-{n}-list")),
    "no such tool": lambda n: works(n, "smal", {"value": str(n)}, well=False),
    "no such parameter": lambda n: works(n, "huge", {"volume": n}, well=False),
    "cut off in an answer": lambda n: text(f"What I found at {n} is that").finish("length"),
    "empty reply": lambda _: Step(),
    "cut off in a call": lambda n: tools(call("write", '{"path": "x.md", "content": "on')).finish("length"),
    "reasoning alone": lambda n: reasoning(f"What now, after {n}?"),
    "answer with an open plan": lambda n: text(f"That was step {n}."),
    "an id used before": lambda n: tools(call("small", {"value": f"again {n}"}, "same")),
    "two calls of one id": lambda n: tools(*(call("small", {"value": f"twin {n} {m}"}, f"t-{n}") for m in (1, 2))),
    "no id": lambda n: tools({**call("small", {"value": f"nameless {n}"}), "id": ""}),
}
"""These replies count, and the agent has to make something of them."""

OVERFLOWS: tuple[tuple[int, str], ...] = (
    (400, "This model's maximum context length is {window} tokens. However, you requested 99999 tokens."),
    (400, "prompt is too long: 99999 tokens > {window} maximum"),
    (400, "Input is too long for requested model."),
    (400, "the request exceeds the available context size, try increasing it"),
    (413, "Request Entity Too Large"),
    (413, "The context length exceeded the limit."),
    (422, "context length exceeded"),
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {window}"),
    (500, "the prompt is too long for the context window"),
)
"""Status and words of a refusal of what does not fit. It comes whether or not the request would fit."""


def seldom_faults(window: int) -> dict[str, Play]:
    """Faults that cost a compaction, or time."""
    refusals = {
        f"overflow {status}: {words[:28]}": partial(_refuses, status, words.format(window=window))
        for status, words in OVERFLOWS
    }
    return {**refusals, "silence": lambda number: works(number, "small", {"value": "silent"}).stall_after(1)}


def _refuses(status: int, words: str, _number: int) -> Step:
    return error(status, words)


Summary = Callable[[dict[str, Any]], Step]
SUMMARIES: dict[str, tuple[Summary, ...]] = {
    "summary": (lambda _: text("The runs of the first part agree; the notes hold their losses."),),
    "summary refused": (lambda _: error(400, "bad request"),),
    "summary as long as its record": (lambda body: text(str(body["messages"][-1]["content"]) * 2),),
    "summary empty": (lambda _: text(""),),
    "summary after a cut": (lambda _: text("Lost").cut_after(0), lambda _: text("The second try got through.")),
    "summary down for good": (lambda _: error(500, "down"),) * 5,
    "summary does not fit": (lambda _: error(413, "context length exceeded"),),
}


def cut_at(number: int, share: float) -> Step:
    """A good reply that breaks off after this share of its bytes, each time in another way."""
    step = works(number, "small", {"value": f"cut {number:06}"}, content="On with it.").usage(1_000, 50)
    items = stream_items(step, "scripted", include_usage=True, estimate={})
    size = sum(len(item.data if isinstance(item, Raw) else f"data: {json.dumps(item)}\n\n") for item in items)
    return step.cut_after(size=int(share * size), how=CUT_STYLES[number % len(CUT_STYLES)])


# ------------------------------------------------------------------------------------------------------ the night


class Night:
    """The model; a policy for `ScriptedLLM`.

    Args:
        iterations: Replies with work in them; those that are faults of the model come on top.
        window: Tokens it takes.
        seldom: Every so many iterations one of the costly faults happens.

    Attributes:
        played: How often each fault happened.
        problems: What no request should be, beyond what the server itself checks.
        largest: Size of the largest request that was answered, in tokens.
        finished: Whether the model has said its last word.
    """

    def __init__(self, iterations: int, *, window: int = 60_000, seldom: int = 25) -> None:
        self.played: Counter[str] = Counter()
        self.problems: list[str] = []
        self.largest = 0
        self.finished = False
        self._iterations = iterations
        self._window = window
        self._every = seldom
        self._costly = seldom_faults(window)
        self._opening: list[Any] = []
        self._replies = self._write()
        self._summaries = self._sum_up()

    def __call__(self, body: dict[str, Any], number: int) -> Step:
        messages = body["messages"]
        tokens = len(json.dumps(messages, ensure_ascii=False)) // CHARS_PER_TOKEN
        is_summary = "<record>" in str(messages[-1]["content"])
        if tokens > self._window:
            self.played["summary larger than the window" if is_summary else "request larger than the window"] += 1
            return error(400, f"prompt is too long: {tokens} tokens > {self._window} maximum")
        self.largest = max(self.largest, tokens)
        if is_summary:
            return next(self._summaries)(body)
        self._opening = self._opening or messages[:2]
        if messages[:2] != self._opening:
            self.problems.append(f"request {number} does not begin with the system prompt and the first prompt")
        return next(self._replies, text(FINISHED))

    @property
    def unplayed(self) -> set[str]:
        """Kinds of faults that have not happened yet."""
        return {"cut", *OF_THE_SERVER, *OF_THE_MODEL, *self._costly, *SUMMARIES} - self.played.keys()

    def _write(self) -> Iterator[Step]:
        yield _plan("in_progress")
        usual = itertools.cycle({**OF_THE_SERVER, **OF_THE_MODEL}.items())
        costly = itertools.cycle(self._costly.items())
        for number in range(self._iterations):
            yield self._play("cut", cut_at(number, number / self._iterations))
            kind, play = next(usual)
            yield self._play(kind, play(number))
            if number % self._every == 0:
                kind, play = next(costly)
                yield self._play(kind, play(number))
            yield WORK[number % len(WORK)](number)
        yield _plan("completed")
        self.finished = True
        yield text(FINISHED)

    def _sum_up(self) -> Iterator[Summary]:
        for kind, attempts in itertools.cycle(SUMMARIES.items()):
            self.played[kind] += 1
            yield from attempts

    def _play(self, kind: str, step: Step) -> Step:
        self.played[kind] += 1
        return step
