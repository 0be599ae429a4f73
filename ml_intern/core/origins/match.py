"""Compares the words of a call with what came from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.policy import GUARDED
from ml_intern.core.origins.flat import lower
from ml_intern.core.origins.naming import printable
from ml_intern.core.origins.orders import Order, advice_about
from ml_intern.core.origins.pieces import LATIN_WORD, find_whole
from ml_intern.core.origins.words import DEEDS, CallWords
from ml_intern.core.protocol import Origin

BEYOND = frozenset(
    {Effect.DESTROY, Effect.OUTSIDE, Effect.CREDENTIALS, Effect.PUBLISH, Effect.SCHEDULE, Effect.CATASTROPHIC}
)
"""Effects that cannot be taken back, or that reach others."""

_LONGEST_PASSAGE = 300
_MARK_CHARS = 110
_LEAD, _TAIL = 60, 60


@dataclass(frozen=True, slots=True)
class Source:
    """A text from outside.

    Attributes:
        name: What it is called.
        via: The tool that brought it.
        number: When it came, counted with everything else that was said.
        text: The text in the form of `flat`; empty where only its orders are kept.
        local: It was read on this machine, and may be the person's own. Nobody is troubled about work on its like.
    """

    name: str
    via: str
    number: int
    text: str = ""
    local: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Words of a call that came from outside.

    Attributes:
        origin: Where they came from.
        pieces: The words themselves.
    """

    origin: Origin
    pieces: tuple[str, ...]


Said = Callable[[str, int], bool]
"""Whether somebody here said a piece, so that it need not come from the text of that number."""


def of_orders(call: CallWords, orders: Iterable[tuple[Source, Order]], said: Said) -> Finding | None:
    """The order that the call follows: that of which it holds the most."""
    best: tuple[int, Source, Order, str] | None = None
    harmless = not call.effects & GUARDED
    for source, order in orders:
        if source.local and harmless:
            continue
        for weight, piece in _shared(call, order):
            if (best is None or weight > best[0]) and not said(piece, source.number):
                best = (weight, source, order, piece)
                break
    if best is None:
        return None
    _, source, order, piece = best
    at = find_whole(order.small, piece, order.marks[0])  # what is wanted mostly stands after what gives it away
    at = at if at >= 0 else find_whole(order.small, piece)
    passage = _passage(order.text, order.mark_before(max(at, 0), _LONGEST_PASSAGE - _TAIL), at, len(piece))
    return Finding(Origin(source=source.name, via=source.via, passage=passage, order=True), (piece,))


def of_instructions(call: CallWords, first: Mapping[str, Source | int], said: Said) -> Finding | None:
    """A place or a thing that the call names, and that a text from outside has told a reader to do something with.

    Args:
        call: The call.
        first: Where each piece was seen first; a number where the agent named it itself.
        said: See `Said`.
    """
    for piece in sorted(call.telling, key=len, reverse=True):
        source = first.get(piece)
        if not isinstance(source, Source) or said(piece, source.number):
            continue
        if advice := advice_about(lower(source.text), piece):
            passage = _passage(source.text, *advice, len(piece))
            return Finding(Origin(source=source.name, via=source.via, passage=passage), (piece,))
    return None


def _shared(call: CallWords, order: Order) -> Iterator[tuple[int, str]]:
    """What a call and an order have in common, with its weight: copied phrases weigh the most, single words least.

    What chance may bring together, such as a file name, counts only close to what makes it an order.
    """
    for phrase in call.phrases:
        if _may_hold(order, phrase) and find_whole(order.small if " " in phrase else order.core, phrase) >= 0:
            yield 1_000 + len(phrase), phrase
    for piece in sorted(call.telling | call.loose, key=len, reverse=True):
        if _may_hold(order, piece) and find_whole(order.small if piece in call.telling else order.core, piece) >= 0:
            yield 500 + len(piece), piece
    if "_" in call.tool and find_whole(order.core, call.tool.lower()) >= 0:
        yield 400, call.tool.lower()
    if Effect.COMPUTE in call.effects or not any(DEEDS[effect].search(order.core) for effect in call.effects & BEYOND):
        return
    for word in sorted(call.object_words & order.core_words, key=len, reverse=True):
        yield 100 + len(word), word


def _may_hold(order: Order, piece: str) -> bool:
    """A quick test before the real one: its first word is among those of the order."""
    match = LATIN_WORD.search(piece)
    return match is None or match[0] in order.words


def _passage(text: str, mark: int, piece: int, length: int) -> str:
    """What a person reads of a text: where the order begins, and where the words of the call stand."""
    if piece < 0:
        return _cut(text, mark, mark + 2 * _MARK_CHARS)
    first, last = min(mark, piece), max(mark, piece + min(length, _MARK_CHARS))
    if last - first <= _LONGEST_PASSAGE - _TAIL:
        return _cut(text, first, last + _TAIL)
    places = sorted([(mark, mark + _MARK_CHARS), (max(0, piece - _LEAD), piece + min(length, _MARK_CHARS) + _TAIL)])
    return " … ".join(_cut(text, start, end).strip("… ") for start, end in places)


def _cut(text: str, start: int, end: int) -> str:
    """A stretch of a text that begins and ends between words, with dots where something is missing."""
    while start > 0 and not text[start - 1].isspace() and end - start < _LONGEST_PASSAGE:
        start -= 1
    while end < len(text) and not text[end].isspace() and end - start < _LONGEST_PASSAGE:
        end += 1
    before = "… " if start > 0 else ""
    return f"{before}{printable(text[start:end])}{' …' if end < len(text) else ''}"
