"""How far a text that is still being written can be judged: to where nothing has begun that may yet become a secret.

The redactor judges whole texts. A reply comes in pieces, and half a secret looks like nothing. So what may be the
beginning of one is held back until more of the text tells, and only for as long as the longest of them could be.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence

from ml_intern.core import encoded_tokens
from ml_intern.core.secret_values import open_value

LONGEST = 17_000
"""Characters that are held back at most: a private key with its first and last line."""

_CONTEXT = 2_048
"""A line longer than this is not looked at from its beginning for every piece,"""
_LEFT = 1_024
"""but from so many characters before the new ones on; the name of a value is never as far from it."""
_ROUNDS = 8
"""What one thing is cut off from may lie within another; where that goes on for longer, all of it waits."""
_LONGEST_WORD = 24

AFTER_ESCAPE = r"(?<=\\[nrt])|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})|(?<=[\[;0-9][mK])"
"""What ends an escaped character of JSON, Python or an address, or a sequence that switches a colour."""
WORD_START = rf"(?:(?<![A-Za-z0-9])|{AFTER_ESCAPE})"
"""A letter or digit before `sk-` or `AKIA` means that it is part of a longer word - unless it ends an escape."""
_ANYWHERE = (
    *("hf_", "api_org_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("xox", "xapp-", "glpat-", "pypi-", "AIza", "ya29."),
    *encoded_tokens.STARTS,
)
"""How tokens begin that the redactor finds within a word too,"""
_AT_A_WORD = ("sk-", "xai-", "nvapi-", "pplx-", "tvly-", "gsk_", "r8_", "npm_", "AKIA", "ASIA", "eyJ")
"""and those that begin a word."""
_KEY = "-----BEGIN"

# All of them go on with characters of words.
_WORD = string.ascii_letters + string.digits + "_.-"
_TOKEN = re.compile(rf"(?:{'|'.join(map(re.escape, _ANYWHERE))}|{WORD_START}(?:{'|'.join(_AT_A_WORD)}))")


def _beginnings(starts: Iterable[str]) -> str:
    found = {start[:size] for start in starts for size in range(1, len(start))}
    return "|".join(re.escape(beginning) for beginning in sorted(found, key=len, reverse=True))


_BEGINNING = re.compile(rf"(?:{_beginnings((*_ANYWHERE, _KEY))}|{WORD_START}(?:{_beginnings(_AT_A_WORD)}))\Z")
_LONGEST_START = max(map(len, (*_ANYWHERE, *_AT_A_WORD, _KEY)))

# What belongs to a value that the redactor replaces after a name, a scheme or an address.
_CREDENTIAL = string.ascii_letters + string.digits + "._~+/=-"
_SCHEME = re.compile(r"(?:[Bb](?i:earer)|password|(?i:basic|token|bot|apikey|key))[ \t]{1,8}\Z")
_ADDRESS = re.compile(r"[^\s/@\"'<>\\{}$\[\]]{1,400}\Z")
_HOOK = "hooks.slack.com/"
_HOOK_PATH = re.compile(r"[A-Za-z0-9/_-]+\Z")

# Private keys; one that only stands in a sentence holds nothing that is worth hiding.
_HEAD = re.compile(rf"{_KEY} [A-Z0-9 ]{{0,32}}PRIVATE KEY(?: BLOCK)?-----")
_UNFINISHED_HEAD = re.compile(rf"{_KEY}[A-Z0-9 ]{{0,60}}-{{0,5}}\Z")
_FOOT = re.compile(r"-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----")
_UNFINISHED_FOOT = re.compile(r"-----(?:E(?:N(?:D[A-Z0-9 ]{0,60}-{0,4})?)?)?\Z")
_LONGEST_BODY = 16_384
_PROSE = re.compile(r"(?m)^(?![A-Za-z-]{1,32}: ).*?(?<!\S)(?:\S{1,15}[ \t]+){3}")
_MATERIAL = re.compile(r"[A-Za-z0-9+/=]{16}")


def settled(text: str, *, goes_on: bool = False) -> int:
    """Up to where a text can be judged, whatever follows it.

    Args:
        text: The text so far, from the beginning of a line, without known secrets.
        goes_on: More of it is there and waits: its last word is not whole.
    """
    end = _closed(text)
    if end == len(text):  # else it is known what follows
        end = _first_letters(text)
        end = _closed(text[: _whole_word(text[:end]) if goes_on else end])
    return end if len(text) - end <= LONGEST else len(text)


def _closed(text: str) -> int:
    """Up to where nothing in a text is open."""
    end = len(text)
    for _ in range(_ROUNDS):
        begin = _unsettled(text[:end])
        if begin == end:
            return end
        end = begin  # which may lie within something else
    return 0


def needed_from(text: str, end: int) -> int:
    """From where on a text is needed to judge what follows a place up to which it is settled."""
    begin = text.rfind("\n", 0, end) + 1
    for foot in _FOOT.finditer(text, begin, end):  # it is nothing without the lines above it
        begin = foot.end()
    return begin if end - begin <= _CONTEXT else end - _LEFT


def begun(text: str, secrets: Sequence[str]) -> int:
    """Where a known secret may have begun that the end of a text cuts off; else its length.

    Args:
        text: The text so far.
        secrets: What must not be seen, in every form.
    """
    end = len(text) - _overlap(text, secrets)
    while (begin := min((_across(text, secret, end) for secret in secrets), default=end)) < end:
        end = begin
    longest = max(map(len, secrets), default=0)
    return end if len(text) - end <= max(LONGEST, longest) else len(text)


def _across(text: str, secret: str, place: int) -> int:
    """Where a secret stands on both sides of a place; the place itself when it does not."""
    at = text.find(secret, max(0, place - len(secret) + 1), place + len(secret) - 1)
    return at if at >= 0 else place


def _overlap(text: str, secrets: Sequence[str]) -> int:
    """Length of the longest end of a text that is the beginning of a secret, and not the whole of it."""
    longest, last = 0, text[-1:]
    for secret in secrets:
        size = min(len(secret) - 1, len(text))
        while last and (size := secret.rfind(last, 0, size) + 1) > longest:
            if text.endswith(secret[:size]):
                longest = size
                break
            size -= 1
    return longest


def _unsettled(text: str) -> int:
    """Where that begins with which a text ends and which may yet become a secret; else its length."""
    line = text.rfind("\n") + 1
    last = text[line:]
    found = (_token(last), _credential(last), _address(last), _hook(last), open_value(last))
    return min(line + min(found), _private_key(text))


def _token(line: str) -> int:
    match = _TOKEN.search(line, _word(line))
    return match.start() if match else len(line)


def _word(line: str) -> int:
    """Where the last word of a line begins, if it ends with one."""
    return len(line.rstrip(_WORD))


def _first_letters(text: str) -> int:
    """Where a text ends with what may be the beginning of a token."""
    match = _BEGINNING.search(text, max(0, len(text) - _LONGEST_START))
    return _whole_word(text[: match.start()]) if match else len(text)


def _whole_word(text: str) -> int:
    """The end of a text, or of the word before its last one: half words look like a fault, unless they are no words."""
    word = _word(text)
    return word if len(text) - word <= _LONGEST_WORD else len(text)


def _credential(line: str) -> int:
    """What follows `Bearer`, `password` or `Authorization:`."""
    begin = len(line.rstrip(_CREDENTIAL))
    scheme = _SCHEME.search(line, max(0, begin - 16), begin) if begin < len(line) else None
    if scheme is None:
        return len(line)
    alone = scheme[0][1:6].lower() == "earer" or scheme[0].startswith("password")
    if not (alone or "uthorization" in line[:begin].lower()):
        return len(line)
    return begin


def _address(line: str) -> int:
    """Name and password in an address."""
    at = line.rfind("://") + 3
    return at if at >= 3 and _ADDRESS.match(line, at) else len(line)


def _hook(line: str) -> int:
    at = line.rfind(_HOOK) + len(_HOOK)
    return at if at >= len(_HOOK) and _HOOK_PATH.match(line, at) else len(line)


def _private_key(text: str) -> int:
    """A private key without its last line. One that is only talked about is none."""
    at = text.rfind(_KEY)
    if at < 0:
        return len(text)
    head = _HEAD.match(text, at)
    if head is None:
        return at if _UNFINISHED_HEAD.match(text, at) else len(text)
    body = text[head.end() :]
    foot = body.find("-----")
    ended = foot >= 0 and not _UNFINISHED_FOOT.match(body, foot)
    said = body if foot < 0 else body[:foot]
    mentioned = not _MATERIAL.search(said) and _PROSE.search(said)
    return len(text) if ended or mentioned or len(body) > _LONGEST_BODY + 64 else at
