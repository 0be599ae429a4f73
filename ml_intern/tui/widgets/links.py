"""Links in text: addresses, files of the workspace, and what markdown makes a link.

A link is shown and followed as data. Its target is one of

- an address (`https://…`, `http://…`, `mailto:…`);
- a place on this machine or on the Hub, written `path:` and what the text says: a file, with a line if there is one
  (`path:src/train.py:12`), or a repository (`path:datasets/me/notes`). Which of them it is, is found out when the
  person follows it.

The terminal itself is told of a link (OSC 8) only where the text that is shown is the target: in ink `address`. Behind
any other text a model could hide where a link leads; those are followed by the app alone, which shows the target first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from ml_intern.tui.widgets.lines import Line, Run

PATH = "path:"
LONGEST_TARGET = 2_000

_URL = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\])?[^\s<>\"'`\[\]]+")
_OPENED = re.compile(r"(?:https?://|mailto:)[^\s\x00-\x1f\x7f-\x9f]+\Z")
_AFTER_URL = ".,;:!?*_~)]}'\""
_TOKEN = re.compile(r"[^\s\"'`()\[\]{}<>|,;]+")
_SUFFIXES = (
    "py|pyi|ipynb|js|mjs|ts|tsx|jsx|json|jsonl|yaml|yml|toml|ini|cfg|conf|env|md|rst|txt|log|out|err|csv|tsv|sh|bash|zsh|"
    "html|css|scss|tcss|sql|rs|go|c|h|cc|cpp|hpp|cu|java|rb|r|jl|tex|bib|xml|svg|png|jpg|jpeg|gif|pdf|diff|patch|lock|"
    "parquet|arrow|safetensors|gguf|pt|pth|bin|npy|npz|pkl"
)
_SUFFIX = re.compile(rf"\.(?:{_SUFFIXES})\b", re.IGNORECASE)
_FILE = re.compile(
    rf"(?:~/|/|\.{{1,2}}/)?[\w@+=.-]+(?:/[\w@+=.-]+)*\.(?:{_SUFFIXES})(:\d+(?:[:-]\d+)?)?", re.IGNORECASE
)
_LOCAL = re.compile(r"(?:~/|/|\.{1,2}/)?[\w@+=. -]+(?:/[\w@+=. -]+)*/?(?:#L?\d+|:\d+(?:[:-]\d+)?)?\Z")


class Link(NamedTuple):
    """A link as a person sees it.

    Attributes:
        text: What is shown.
        target: Where it leads.
    """

    text: str
    target: str

    @property
    def shown_target(self) -> str:
        """The target as a person reads it."""
        return self.target.removeprefix(PATH)

    @property
    def says_where(self) -> bool:
        """Whether the text alone tells where it leads."""
        return self.text == self.shown_target


def safe(address: str) -> str:
    """The address if it may be opened, else nothing."""
    return address if len(address) <= LONGEST_TARGET and _OPENED.match(address) else ""


def target_of(href: str) -> str:
    """Where a link of a markdown text leads; empty when it may not be followed."""
    if found := safe(href):
        return found
    local = unquote(href)
    return PATH + local if len(local) <= LONGEST_TARGET and local.isprintable() and _LOCAL.match(local) else ""


def file_in(code: str) -> str:
    """The target if a piece of inline code is nothing but the name of a file, with a line or without."""
    return PATH + code if len(code) <= LONGEST_TARGET and _FILE.fullmatch(code) else ""


def linked(text: str, ink: str = "") -> list[Run]:
    """Plain text as runs, with addresses and unmistakable places in files as links.

    A name of a file alone is not one: too many of them are only talked about.
    """
    runs: list[Run] = []
    position = 0
    for start, end, target in _targets(text):
        if start > position:
            runs.append(Run(text[position:start], ink))
        runs.append(Run(text[start:end], f"{ink} link address".strip() if safe(target) else ink, target))
        position = end
    if position < len(text) or not runs:
        runs.append(Run(text[position:], ink))
    return runs


def _targets(text: str) -> Iterator[tuple[int, int, str]]:
    addresses = "://" in text
    if not addresses and _SUFFIX.search(text) is None:
        return
    position = 0
    for address in [*(_URL.finditer(text) if addresses else ()), None]:
        end = address.start() if address is not None else len(text)
        yield from _files(text, position, end)
        if address is not None:
            found = _trimmed(address[0])
            position = end + len(found)
            if safe(found):
                yield end, position, found


def _trimmed(address: str) -> str:
    """An address without what follows it in a sentence."""
    trimmed = address.rstrip(_AFTER_URL)
    return trimmed + ")" if address.startswith(trimmed + ")") and trimmed.count("(") > trimmed.count(")") else trimmed


def _files(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    for token in _TOKEN.finditer(text, start, end):
        if len(token[0]) <= LONGEST_TARGET and _SUFFIX.search(token[0]) is not None:
            found = _FILE.match(token[0].rstrip(".:!?*_~…"))
            if found is not None and found.end() == len(token[0].rstrip(".:!?*_~…")) and (found[1] or "/" in found[0]):
                yield token.start(), token.start() + found.end(), PATH + found[0]


def links_of(rows: Sequence[Line]) -> tuple[Link, ...]:
    """The links of successive lines, each once; one that was wrapped is one."""
    found: dict[Link, None] = {}
    text, target = "", ""
    for row in rows:
        at = 0
        for run in row.runs:
            at += len(run.text)
            if at <= row.lead:
                continue
            if run.link != target:
                if target:
                    found.setdefault(_link(text, target))
                text, target = "", run.link
            text += run.text if target else ""
        text += row.join if target else ""
        if target and row.join == "\n":
            found.setdefault(_link(text, target))
            text, target = "", ""
    if target:
        found.setdefault(_link(text, target))
    return tuple(found)


def _link(text: str, target: str) -> Link:
    return Link(" ".join(text.split()), target)
