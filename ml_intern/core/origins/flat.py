"""Text brought to one form, so that words are found again however they were quoted, escaped, encoded or laid out."""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

from ml_intern.core.plain_text import plain

HIDDEN = "⟦hidden:"
"""Stands before text that nobody could see."""

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+"
)
_TAGS = re.compile("[\U000e0020-\U000e007f]+")  # a copy of ASCII that no terminal and no browser shows
_FIRST_OF_TAGS = b"\xf3\xa0"
_QUOTES = "\"'`´“”„‟«»‹›‘‚‛"
_CONTRACTIONS = (("n't ", "n’t "), ("'s ", "’s "), ("'re ", "’re "), ("l'", "l’"))
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PERCENTS = ("%2", "%3", "%4", "%5", "%6", "%7")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4}){2,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})")
_AROUND_CODES = "()[]{}<>.,;:!?\"'`"
_SHORTEST_CODE = 12
_MOST_CODES = 20


def flat(text: str) -> str:
    """The text on one line: escapes and encodings resolved, quotes and invisible characters gone, its case kept."""
    if "&" in text:
        text = html.unescape(text)
    if "\\" in text:
        text = _ESCAPED.sub(_unescaped, text)
    if any(percent in text for percent in _PERCENTS):
        text = _PERCENT.sub(lambda match: unquote(match[0]), text)
    if not text.isascii():
        text = _visible(text)
    text = text.replace("**", "")
    for short, kept in _CONTRACTIONS:
        text = text.replace(short, kept)
    for quote in _QUOTES:
        text = text.replace(quote, " ")
    words = plain(text).split()  # before lines are joined: with a space behind it, an escape would take a letter along
    text = " ".join(words)
    for code, said in _codes(words).items():
        text = text.replace(code, f"{code} ({said})", 1)
    return text


def lower(text: str) -> str:
    """The text in small letters, every character at its place."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def _visible(text: str) -> str:
    if _FIRST_OF_TAGS in text.encode("utf-8", "surrogatepass"):
        text = _TAGS.sub(_shown_tags, text)
    text = _INVISIBLE.sub("", text)
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)


def _shown_tags(match: re.Match[str]) -> str:
    said = "".join(chr(ord(char) - 0xE0000) for char in match[0] if ord(char) < 0xE007F)
    # A flag of a region is spelt with these too, in a few letters: nobody orders anything in so few.
    return f" {HIDDEN} {said}⟧ " if len(said) > 6 else ""


def _unescaped(match: re.Match[str]) -> str:
    if code := match[1] or match[2]:
        return chr(int(code, 16))
    return " " if match[3] in {"n", "r", "t", '"', "'", "\\"} else match[3]


def decoded(text: str) -> tuple[str, ...]:
    """What the codes in a text say; the first few."""
    return tuple(_codes(text.split()).values())


def _codes(words: Iterable[str]) -> dict[str, str]:
    """Words that are written in base64, each with what it says."""
    found: dict[str, str] = {}
    for word in dict.fromkeys(word for word in words if len(word) >= _SHORTEST_CODE):
        code = word.strip(_AROUND_CODES)
        if len(code) % 4 == 0 and _BASE64.fullmatch(code) and (said := _decoded(code)):
            found[code] = said
            if len(found) == _MOST_CODES:
                break
    return found


def _decoded(code: str) -> str:
    """What a code says, if it says something; a long word of letters is none that does."""
    try:
        said = base64.b64decode(code, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    said = plain(said)
    return " ".join(said.split()) if said.isprintable() or "\n" in said else ""
