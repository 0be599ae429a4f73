"""The words of a call, as they are looked for in what came from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.origins.flat import decoded, flat, lower
from ml_intern.core.origins.marks import ADVISES
from ml_intern.core.origins.pieces import WORD, loose, telling

_MOST_CHARS = 200_000
_MOST_LINES = 400
_SHORTEST_LINE = 12
_LONGEST_PHRASE = 2_000
_SHORTEST_COMMAND = 3
_LONGEST_OBJECT = 300
_BREAK = " end-of-line-7f3e "
_PARTS = re.compile(r"[\n;|&]+|\$\(|`")
_NO_QUOTES = dict.fromkeys(map(ord, "\"'`"), " ")
_COMMANDS = frozenset({"command", "script", "code"})

_EVERYDAY = frozenset(
    """
    this that with from into your have will would should could then than when what which where while there their
    them they these those here about after before again over under only also just like more most some such each
    every other same true false none null self return import print open read file files line lines text name
    path data model models dataset train test code script python python3 http https html json yaml main home user
    users work temp bash echo sudo curl wget force command operation content description title value list type
    system prompt agent assistant message instructions token tokens tool tools information project package
    """.split()  # noqa: SIM905 - words read better than as many quotes
)

DEEDS: Mapping[Effect, re.Pattern[str]] = {
    Effect.DESTROY: re.compile(
        r"\b(?:delet|remov|eras|wip|destroy|drop|reset|overwrit|purg|truncat|empt|clean|replac|lösch|entfern|supprim"
        r"|efface|elimin|borra|cancell|apag|удал|стер|stop|cancel)|删除|刪除|清空|削除|삭제"
    ),
    Effect.PUBLISH: re.compile(
        r"\b(?:send|post|upload|publish|push|shar|forward|e?-?mail|submit|transmit|exfiltrat|leak|report|public|comment"
        r"|propos|tell|open|sende|schick|lade|envo|envi|invia|отправ|выгруз)|发送|發送|上传|上傳|公开|送信|전송|업로드"
    ),
    Effect.CREDENTIALS: re.compile(
        r"\b(?:tokens?|keys?|passwor|credential|secret|environment|env|ssh|login|schlüssel|passwort|clé|clave|chiav|ключ"
        r"|парол)|密钥|密鑰|密码|令牌|鍵|비밀번호"
    ),
    Effect.OUTSIDE: re.compile(r"\b(?:writ|append|add|creat|copy|install|put|chang|edit|bashrc|profile|home)"),
    Effect.SCHEDULE: re.compile(r"\b(?:schedul|cron|hourly|daily|every|recurr|repeat|again)"),
    Effect.CATASTROPHIC: re.compile(
        r"\b(?:delet|remov|eras|wip|destroy|format|everything|shut|löschen|удал)|删除|刪除"
    ),
}
"""How orders speak of what has an effect."""


@dataclass(frozen=True)
class CallWords:
    """What one call says.

    Attributes:
        tool: The tool.
        effects: What it would do.
        arguments: As the model wrote them.
        shown: What the tool shows of what will happen, such as the script of a job.
    """

    tool: str
    effects: frozenset[Effect]
    arguments: Mapping[str, Any]
    shown: tuple[str, ...] = ()

    @cached_property
    def small(self) -> str:
        """All it says, in small letters and the form of `flat`."""
        said = [*(text for _, text in leaves(self.arguments)), *self.shown]
        return lower(flat("\n".join(dict.fromkeys(said))[:_MOST_CHARS]))

    @cached_property
    def telling(self) -> frozenset[str]:
        """The places and things that it names."""
        return telling(self.small)

    @cached_property
    def loose(self) -> frozenset[str]:
        """Whatever else of it has a joint."""
        return loose(self.small)

    @cached_property
    def object_words(self) -> frozenset[str]:
        """What it acts on, in single words; without those that say nothing. A long text has no such."""
        short = " ".join(text for _, text in leaves(self.arguments) if len(text) <= _LONGEST_OBJECT)
        words = {word for word in WORD.findall(lower(flat(short))) if len(word) > 3}
        return frozenset(word for word in words - _EVERYDAY if not ADVISES.fullmatch(word))

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """What may have been copied word by word: commands, lines of scripts, sentences; the longest first."""
        found: dict[str, None] = {}
        for name, text in leaves(self.arguments):
            command = name in _COMMANDS
            found.update(dict.fromkeys(_phrases_of(text, command)))
            for said in decoded(text[:_MOST_CHARS].translate(_NO_QUOTES)):
                found.update(dict.fromkeys(_phrases_of(said, command=True)))
        for text in self.shown:
            found.update(dict.fromkeys(_phrases_of(text, command=False)))
        return tuple(sorted(found, key=len, reverse=True)[:_MOST_LINES])


def leaves(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """All texts in arguments, each with the name of the argument. A list of words counts as one text."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping) and depth < 8:
        for key, inner in value.items():
            yield from leaves(inner, str(key) if depth == 0 else name, depth + 1)
    elif isinstance(value, list | tuple) and depth < 8:
        if all(isinstance(inner, str) for inner in value):
            yield name, " ".join(value)
            return
        for inner in value:
            yield from leaves(inner, name, depth + 1)


def _phrases_of(text: str, command: bool) -> Iterator[str]:
    text = text[:_MOST_CHARS]
    whole = lower(flat(text[: 2 * _LONGEST_PHRASE]))
    if len(whole) <= _LONGEST_PHRASE and (
        len(whole) >= _SHORTEST_COMMAND if command else len(whole) >= _SHORTEST_LINE and " " in whole
    ):
        yield whole
    parts = _PARTS.sub(_BREAK, text) if command else text.replace("\n", _BREAK)
    for part in lower(flat(parts)).split(_BREAK.strip())[:_MOST_LINES]:
        small = part.strip()
        if len(small) >= _SHORTEST_LINE and " " in small:
            yield small
