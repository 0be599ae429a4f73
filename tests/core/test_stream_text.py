from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_intern.core.redact import PATTERNS, Redactor
from ml_intern.core.stream_text import GATHER_S, Kind, Sieve, StreamText
from tests.core.test_redact import ALNUM, CAUGHT, KEPT, PRIVATE_KEY

KNOWN = ("correct-horse-battery-staple", 'unusual "value" \\ ü 7', "horse shoe\nmagnet 99", "zzabczzabczz12")
REDACTOR = Redactor(KNOWN)

canaries = st.one_of(
    st.sampled_from([text for text, _ in CAUGHT]),
    st.sampled_from([*KNOWN, PRIVATE_KEY]),
    st.text(ALNUM, min_size=29, max_size=40).map(lambda tail: f"hf_{tail}"),
    st.text(ALNUM, min_size=8, max_size=40).map(lambda value: f'MY_API_KEY="k{value}"'),
)
harmless = st.one_of(
    st.sampled_from(KEPT),
    st.sampled_from(["每个token的概率。", "The loss is high ", "-----BEGIN ", "| a | b |", "h", "sk", "```"]),
    st.text(max_size=12),
)


@st.composite
def in_pieces(draw: st.DrawFn, parts: st.SearchStrategy[str]) -> list[str]:
    """A text of a few parts, in pieces cut anywhere."""
    separator = draw(st.sampled_from([" ", "\n", "\n\n"]))
    text = separator.join(draw(st.lists(parts, min_size=1, max_size=5)))
    if draw(st.booleans()):
        return list(text)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def let_through(pieces: list[str], redactor: Redactor = REDACTOR) -> list[str]:
    """What is told after each piece, and at the end."""
    sieve = Sieve(redactor)

    def told() -> Iterator[str]:
        for piece in pieces:
            sieve.add(piece)
            yield sieve.release(whole=False)
        yield sieve.release(whole=True)

    return list(told())


def held(pieces: list[str], redactor: Redactor = REDACTOR) -> list[int]:
    """How many characters wait after each piece of a harmless text."""
    given_, told, found = 0, 0, []
    for piece, out in zip(pieces, let_through(pieces, redactor), strict=False):
        given_, told = given_ + len(piece), told + len(out)
        found.append(given_ - told)
    return found


@settings(deadline=None, max_examples=300)
@given(in_pieces(harmless | canaries))
def test_pieces_of_any_size_come_to_what_the_redactor_makes_of_the_whole(pieces: list[str]) -> None:
    assert "".join(let_through(pieces)) == REDACTOR.text("".join(pieces))


@settings(deadline=None, max_examples=200)
@given(in_pieces(harmless.filter(lambda text: Redactor().text(text) == text)))
def test_a_text_without_a_secret_comes_through_as_it_is(pieces: list[str]) -> None:
    text = "".join(pieces)
    if REDACTOR.text(text) == text:
        assert "".join(let_through(pieces)) == text


@pytest.mark.parametrize(
    ("text", "secret"), [*CAUGHT, *((known, known) for known in KNOWN), (PRIVATE_KEY, "MIIEabc+/MIIEabc")]
)
def test_no_split_lets_a_secret_or_a_good_part_of_it_through(text: str, secret: str) -> None:
    text = f"It is {text} as you know.\n"
    splits = [[text[:place], text[place:]] for place in range(1, len(text))]
    part = secret[: max(3, len(secret) - 2)]
    for pieces in (*splits, list(text)):
        told = "".join(let_through(pieces))
        assert part not in told, pieces
        assert told == REDACTOR.text(text)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: str(pattern.pattern)[:30])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_every_pattern_of_the_redactor_is_known_from_its_first_letter_on(
    pattern: re.Pattern[str], data: st.DataObject
) -> None:
    token = data.draw(st.from_regex(re.sub(r"\(\?[=!<].*?\)", "", pattern.pattern), fullmatch=True).map(plain_letters))
    text = f"It is {token}@host.example, you know.\n"
    pieces = data.draw(st.sampled_from([list(text), [text[at : at + 7] for at in range(0, len(text), 7)]]))
    assert "".join(let_through(pieces)) == REDACTOR.text(text)


def plain_letters(token: str) -> str:
    """The token with letters for what no provider puts into one."""
    return "".join(letter if letter.isascii() and (letter.isprintable() or letter == "\n") else "x" for letter in token)


def test_words_of_any_language_and_code_hardly_wait() -> None:
    texts = (
        "Each token of the batch has its own loss, and the learning rate falls as the steps go by.\n" * 5,
        "每个token的概率是由模型给出的，这个 token 的值取决于上下文。见https://example.com/路径，然后继续。\n" * 5,
        "for token in tokens:\n    key = tokenizer.decode(token)\n    print(key, end='')\n" * 5,
        "A" * 3_000 + "b" * 3_000,
        '{"a":1,"name":"key","token_id":5,"url":"https://x/y?z=1"},' * 60,
    )
    for text in texts:
        waits = held([text[at : at + 3] for at in range(0, len(text), 3)])
        assert max(waits) <= 30
        assert sum(waits) / len(waits) < 5


def test_what_looks_like_an_endless_secret_is_let_go_at_last() -> None:
    key = ("-----BEGIN PRIVATE KEY-----\n", ("MIIE" * 16 + "\n") * 10)
    for begin, go_on in (key, ("hf_", "a" * 600), ('KEY="', "x" * 600), ("z", "zabc" * 150)):
        waits = held([begin, *([go_on] * (60_000 // len(go_on)))], Redactor(["zabc" * 5_000 + "!"]))
        assert 600 < max(waits) <= 28_000
        assert held(["a key ", "is -----BEGIN PRIVATE KEY----- and then ", "comes what only its owner knows"])[-1] == 0


@pytest.mark.parametrize("piece", ['token="', "password=:", "-----BEGIN ", "token='\\\\", "--token a", "key, ", "z"])
def test_cost_of_a_piece_has_a_limit(piece: str) -> None:
    def cost(size: int) -> float:
        pieces = [piece * (200 // len(piece))] * (size // 200)
        start = time.process_time()
        let_through(pieces)
        return (time.process_time() - start) / len(pieces)

    assert cost(16_000) < max(0.02, 4 * cost(8_000))


# ------------------------------------------------------------------------------------------------------- gathering


class Listener:
    def __init__(self, redactor: Redactor | None = None) -> None:
        self.told: list[tuple[Kind, str]] = []
        self.times: list[float] = []
        self.stream = StreamText(redactor or Redactor(), self._hear)
        self._heard = asyncio.Event()

    def _hear(self, kind: Kind, text: str) -> None:
        self.told.append((kind, text))
        self.times.append(asyncio.get_running_loop().time())
        self._heard.set()

    async def hear(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.told) < count:
                self._heard.clear()
                await self._heard.wait()


async def test_the_first_piece_is_told_at_once_and_later_ones_together() -> None:
    listener = Listener()
    listener.stream.take("reasoning", "Let me see.")
    assert listener.told == [("reasoning", "Let me see.")]
    for number in range(100):
        listener.stream.take("reasoning", f" {number},")
    assert len(listener.told) == 1
    await listener.hear(2)  # nothing more comes: what there is does not wait for it
    assert listener.told[1] == ("reasoning", "".join(f" {number}," for number in range(100)))
    assert GATHER_S * 0.9 < listener.times[1] - listener.times[0] < GATHER_S + 1


async def test_a_steady_stream_is_told_at_the_pace_of_the_screen() -> None:
    listener = Listener()
    loop = asyncio.get_running_loop()
    start = loop.time()
    pieces = 0
    while loop.time() < start + 0.5:
        listener.stream.take("text", "word ")
        pieces += 1
        await asyncio.sleep(0)
    listener.stream.end()
    assert "".join(text for _, text in listener.told) == "word " * pieces
    assert len(listener.told) <= (loop.time() - start) / GATHER_S + 2
    gaps = [late - early for early, late in zip(listener.times, listener.times[1:], strict=False)]
    assert all(gap > GATHER_S * 0.9 for gap in gaps[:-1])


async def test_thoughts_and_words_keep_their_order_and_stay_apart() -> None:
    listener = Listener()
    for kind, piece in (("reasoning", "a"), ("reasoning", "b"), ("text", "c"), ("text", "d"), ("reasoning", "e")):
        listener.stream.take("reasoning" if kind == "reasoning" else "text", piece)
    listener.stream.end()
    together = [("".join(text for _, text in listener.told[:at])) for at in range(len(listener.told) + 1)]
    assert together[-1] == "abcde"
    kinds = [kind for kind, text in listener.told for _ in text]
    assert kinds == ["reasoning", "reasoning", "text", "text", "reasoning"]


async def test_the_rest_is_told_before_anything_else_and_the_next_reply_begins_afresh() -> None:
    listener = Listener()
    listener.stream.take("text", "See https://")
    listener.stream.take("text", "example.com")
    listener.stream.end()
    listener.stream.end()
    assert "".join(text for _, text in listener.told) == "See https://example.com"
    before = len(listener.told)
    listener.stream.take("text", "@next")
    assert listener.told[before:] == [("text", "@next")]


async def test_a_secret_that_stalls_half_way_stays_hidden() -> None:
    listener = Listener(Redactor(KNOWN))
    listener.stream.take("text", "Use correct-horse")
    await asyncio.sleep(2 * GATHER_S)
    assert listener.told == [("text", "Use ")]
    listener.stream.take("text", "-battery-staple now")
    listener.stream.end()
    assert "".join(text for _, text in listener.told) == "Use [REDACTED] now"
