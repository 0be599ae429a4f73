"""Text as data: made safe to show, measured in terminal cells, and the formats of times, amounts and counts."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, tzinfo
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size

from ml_intern.core.dollars import dollars

ELLIPSIS = "…"
REPLACEMENT = "\ufffd"
RETURN = "\u240d"
"""Stands for a carriage return that a reader should know of."""
TAB_CELLS = 4
LONGEST_LINE = 20_000
"""So much of a line is shown where messages are read. What is copied is always whole."""

# Control characters, what is invisible or changes the direction of what follows, and halves of characters.
_DIRTY = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)
# A joiner joins pictures only: elsewhere terminals disagree on how wide the result is.
_JOINER = re.compile(
    "(?<![\u2190-\u2bff\U0001f000-\U0001faff\ufe0f])\u200d|\u200d(?![\u2190-\u2bff\U0001f000-\U0001faff])"
)
# Line by line, so that text cleaned piece by piece comes out as text cleaned whole. An unfinished string sequence loses
# only its introducer: swallowing the rest of the line would hide text from the reader.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\n\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)
_MARKS_BEYOND = "\U00010a01-\U00010a0f\U0001d165-\U0001d1ad\U0001da00-\U0001daaf\U0001e000-\U0001e02a"
MOST_MARKS = 8
"""So many marks may be put on one character."""
_ENDING = re.compile(r"\r+(?=\n|\Z)")
_NARROW = re.compile(
    "[\x20-\x7e\u00a0-\u00ac\u00ae-\u02ff\u0370-\u0482\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2500-\u25fc]*"
)


def _replace(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":
        return REPLACEMENT
    return " " if char in "\u2028\u2029" else RETURN if char == "\r" else ""


def _spell_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else f"<{code:04x}>"


@lru_cache(maxsize=1)
def _stacked() -> re.Pattern[str]:
    """More marks than one character carries. They take no room, but each is written, however many there are."""
    ranges: list[list[int]] = []
    for code in range(0x300, 0x10000):
        if unicodedata.category(chr(code)) in {"Mn", "Me"}:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    marks = "".join(f"\\u{first:04x}-\\u{last:04x}" for first, last in ranges) + _MARKS_BEYOND
    return re.compile(f"([{marks}]{{{MOST_MARKS}}})[{marks}]+")


def _settled(text: str) -> str:
    """Text whose width terminals agree on, as far as they do at all."""
    if is_narrow(text):
        return text
    if "\u200d" in text:
        text = _JOINER.sub("", text)
    return _stacked().sub(r"\1", text)


def clean(text: str) -> str:
    """The text without anything that a terminal could act on, for what is said and read.

    Escape sequences, control characters, invisible and direction-changing characters go; tabs become spaces; a carriage
    return within a line is shown; lone surrogates become the replacement character. Newlines are kept. Cleaning works
    line by line: the lines of the result are the cleaned lines of the text.
    """
    if _DIRTY.search(text) is not None:
        text = _ESCAPE.sub("", text)
        if "\r" in text:
            text = _ENDING.sub("", text)
        if "\t" in text:
            text = text.expandtabs(TAB_CELLS)
        text = _DIRTY.sub(_replace, text)
    return _settled(text)


def clean_output(text: str) -> str:
    """The same for what a program wrote to its terminal: of a line that was written over, what came last."""
    if "\r" in text:
        text = "\n".join([line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")])
    return clean(text)


def clean_code(text: str) -> str:
    """The same for what will be run or written somewhere: nothing is left out, what cannot be seen is spelled out.

    A program may do something within what a terminal would take for an escape sequence.
    """
    if _DIRTY.search(text) is not None:
        if "\r" in text:
            text = _ENDING.sub("", text)
        if "\t" in text:
            text = text.expandtabs(TAB_CELLS)
        text = _DIRTY.sub(_spell_out, text)
    return _settled(text)


def readable(line: str) -> str:
    """A line as far as anybody would read it in running text: all of it, unless it is endless."""
    more = len(line) - LONGEST_LINE
    return line if more <= 0 else f"{line[:LONGEST_LINE]}{ELLIPSIS} ({more:,} more characters)"


def without_controls(text: str) -> str:
    """A text that has been measured, without what a terminal could act on, and as wide as before."""
    return _DIRTY.sub(lambda match: "-" if match[0] == "\u00ad" else _kept_width(match[0]), text)


def _kept_width(char: str) -> str:
    if "\ud800" <= char <= "\udfff":
        return REPLACEMENT
    return " " * get_character_cell_size(char)


def unseen(text: str) -> set[str]:
    """The characters of a text, newlines aside, that cannot be shown or that a terminal could act on."""
    return set(_DIRTY.findall(text))


def typed(text: str) -> str:
    """A text as it may stand where something is typed: tabs and ends of lines stay, what cannot be shown goes."""
    if _DIRTY.search(text) is None:
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _DIRTY.sub(lambda match: match[0] if match[0] == "\t" else _replace(match), text)


def is_narrow(text: str) -> bool:
    """Whether every character is known to take exactly one cell (a quick test; False means: measure)."""
    return text.isascii() or _NARROW.fullmatch(text) is not None


def cells(text: str) -> int:
    """How many terminal cells the text takes."""
    return len(text) if text.isascii() else cell_len(text)


def joining(before: str, text: str) -> int:
    """How many characters at the beginning of a text belong to the last character before it."""
    number = 1 if before.endswith("\u200d") else 0
    while number < len(text) and (text[number] == "\u200d" or not get_character_cell_size(text[number])):
        number += 2 if text[number] == "\u200d" else 1
    return min(number, len(text))


def graphemes(text: str) -> list[tuple[int, int, int]]:
    """What a terminal shows as one character each, as `(start, end, cells)`; together they cover the text."""
    found: list[tuple[int, int, int]] = []
    joined = False
    for index, char in enumerate(text):
        width = get_character_cell_size(char)
        if found and (joined or char == "\u200d" or not width):
            start = found[-1][0]
            found[-1] = (start, index + 1, cell_len(text[start : index + 1]))
            joined = char == "\u200d" and not joined  # a joiner joins whatever comes next, another joiner too
        else:
            found.append((index, index + 1, width))
            joined = False
    return found


def fit(text: str, width: int) -> str:
    """The beginning of the text in at most `width` cells, with an ellipsis where it was cut."""
    if len(text) <= width and cells(text) <= width:
        return text
    if width < 1:
        return ""
    if is_narrow(text[: width + 1]):
        return text[: width - 1].rstrip() + ELLIPSIS
    used = end = 0
    for _start, stop, size in graphemes(text[: 4 * width]):
        if used + size > width - 1:
            break
        used, end = used + size, stop
    return text[:end].rstrip() + ELLIPSIS


def fit_path(path: str, width: int) -> str:
    """A path in at most `width` cells; the end, which tells most, is kept."""
    if cells(path) <= width:
        return path
    return ELLIPSIS + fit(path[::-1], width).rstrip(ELLIPSIS)[::-1] if width > 1 else fit(path, width)


def one_line(text: str, limit: int = 400) -> str:
    """The beginning of a text as one clean line; no more than `limit` characters are looked at."""
    head = clean(text[:limit])
    return " ".join(head.split()) + (ELLIPSIS if len(text) > limit else "")


def pad(text: str, width: int) -> str:
    """The text followed by spaces up to `width` cells."""
    return text + " " * (width - cells(text))


def count_short(number: int) -> str:
    """A large number in few characters: `840`, `12.5k`, `128k`, `1M`."""
    if number < 1_000:
        return str(number)
    if number >= 999_500:
        return f"{number / 1_000_000:.3g}M"
    return f"{number / 1_000:.1f}k" if number < 100_000 else f"{number // 1_000}k"


def duration(seconds: float) -> str:
    """A span as people say it: `0.4 s`, `12 s`, `1 m 8 s`, `2 h 5 m`, `3 d 4 h`."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def clock_span(seconds: float) -> str:
    """A running time that keeps its shape while it counts: `0:14`, `41:10`, `2:00:00`."""
    whole = max(0, int(seconds))
    minutes = f"{whole // 60 % 60}:{whole % 60:02}" if whole < 3600 else f"{whole // 60 % 60:02}:{whole % 60:02}"
    return minutes if whole < 3600 else f"{whole // 3600}:{minutes}"


def money(usd: float | None) -> str:
    """An amount in US dollars; amounts below a cent keep two digits, an unknown one is a question mark."""
    return "$?" if usd is None else dollars(usd)


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 line`, `12,345 lines`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def ago(seconds: float) -> str:
    """How long ago, roughly: `just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 1440:
        return f"{minutes // 60} h ago"
    return f"{count(minutes // 1440, 'day')} ago"


def clock(moment: str, zone: tzinfo | None = None) -> str:
    """The hour and minute of an ISO 8601 moment in the given (default: local) time zone; empty when it is not one."""
    try:
        return datetime.fromisoformat(moment).astimezone(zone).strftime("%H:%M")
    except ValueError:
        return ""


def timestamp(moment: str) -> float:
    """Seconds since the epoch of an ISO 8601 moment; 0 when it is not one."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0


def seconds_between(began: str, ended: str) -> float | None:
    """The time between two ISO 8601 moments; None when one of them is not one."""
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    except ValueError:
        return None
