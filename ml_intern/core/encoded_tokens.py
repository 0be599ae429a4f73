"""What tokens look like in base64 and in hex: `echo $HF_TOKEN | base64` shows one to whoever can read it back.

Base64 has three faces of the same bytes, by how many stand before them, modulo three. Each has some characters that
depend on the beginning of the token alone; they are looked for, and what follows is decoded and judged. So images and
other data are safe, and the cost is that of a search for a literal. Tokens are made of letters, digits, `-` and `_`,
which never become `+` or `/`: both alphabets are one here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable

_ALPHANUMERIC = "[A-Za-z0-9]"
_ANY = "[A-Za-z0-9_-]"
_TOKENS: tuple[tuple[str, str], ...] = (
    *(("hf_", f"{_ALPHANUMERIC}{{16,300}}"), ("api_org_", f"{_ALPHANUMERIC}{{16,300}}")),
    *((start, f"{_ALPHANUMERIC}{{16,300}}") for start in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "gsk_")),
    *((start, f"{_ANY}{{16,300}}") for start in ("github_pat_", "glpat-", "sk-ant-", "sk-proj-", "AIza")),
    ("AKIA", "[A-Z0-9]{16}(?![A-Za-z0-9])"),
)
"""How tokens begin, and how they go on. Fewer characters than whole ones have: lines are wrapped."""

_REPLACED = "[REDACTED_ENCODED_TOKEN]"
_RUN = "[A-Za-z0-9]{20,512}"

Rule = tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]
"""A literal that must occur, the pattern, what replaces it."""


def _in_base64(start: str, rest: str) -> Iterable[Rule]:
    token = re.compile((start + rest).encode())
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + start.encode()).decode()
        first, last = -(-before * 8 // 6), (before + len(start)) * 8 // 6
        literal = encoded[first:last]
        yield literal, re.compile(literal + _RUN), _judge(token, encoded[:first], before)


def _judge(token: re.Pattern[bytes], head: str, before: int) -> Callable[[re.Match[str]], str]:
    def replaced(match: re.Match[str]) -> str:
        whole = head + match[0]
        found = token.match(base64.b64decode(whole + "A" * (-len(whole) % 4)), before)
        if found is None:
            return match[0]
        return _REPLACED + whole[found.end() * 8 // 6 :]  # a character that also holds bits of what follows stays

    return replaced


def _in_hex(start: str, _rest: str) -> Iterable[Rule]:
    # One byte of a token: `-`, a digit, a letter or `_`.
    byte = "(?:3[0-9]|[46][1-9{0}]|[57][0-9{1}]|5{2}|2{3})"
    for literal, digits in ((start.encode().hex(), "a-f a f d"), (start.encode().hex().upper(), "A-F A F D")):
        yield literal, re.compile(f"{literal}{byte.format(*digits.split())}{{16,300}}"), _REPLACED


RULES: tuple[Rule, ...] = tuple(
    {rule[0]: rule for start, rest in _TOKENS for make in (_in_base64, _in_hex) for rule in make(start, rest)}.values()
)
STARTS = tuple(rule[0] for rule in RULES)
"""How all of them begin; any may stand within a word."""
