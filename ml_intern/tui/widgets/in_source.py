"""How often a text is read in a markdown text, told from its source where that is certain: a thousand times sooner.

What a reader sees is the source without its markup. So a text is read at least where it stands in the source outside of
what may be hidden (the address of a link, the language of a block of code), and at most where it stands once everything
that may be markup is gone, for that can join what stood apart. Where both are the same number, it is that number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ml_intern.sessions.needle import Needle
from ml_intern.tui.widgets.text import clean

_TELLABLE = re.compile(r"[^\W_](?:[\w .,:/=+%@'-]*[^\W_])?")
"""Texts that no markup and no mark of a list is a part of."""
_NUMBER = re.compile(r"\d+(?:\. .*)?")
"""Texts that may begin in the number of a list's item,"""
_NUMBERED = re.compile(r"^[ \t>*+-]*\d{1,9}[.)]", re.MULTILINE)
"""which need not be the one that is written there."""
_ODD = re.compile(
    r"!\["  # an image says what it is
    r"|^[ \t>*+\-\d.)]*\[[^\]]{0,999}\]:"  # the address of a link elsewhere
    r"|&[#\w]{1,40};"  # a character by its name
    r"|<[a-z][a-z\d+.-]*:",  # an address that is shown readable
    re.MULTILINE | re.IGNORECASE,
)
_LINK = re.compile(r"\]\([^\s()<>\[\]\\&\x80-\U0010ffff]*\)")
_HIDDEN = re.compile(rf"{_LINK.pattern}|\[[ xX]\]|^.*(?:```|~~~).*$", re.MULTILINE)
_RULED = re.compile(r"^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$", re.MULTILINE)
_GONE = {ord(char): None for char in "*`~\\<>[]"} | {ord("\n"): " ", ord("|"): " "}
_GONE_TOO = _GONE | {ord("_"): None}


def count_in_source(needle: Needle, source: str) -> int | None:
    """How often a text is read in what a markdown text shows; None where only a look at that can tell."""
    text = needle.text
    if not _TELLABLE.fullmatch(text):
        return None
    source = clean(source)
    if _ODD.search(source) or (_NUMBER.fullmatch(text) and _NUMBERED.search(source)):
        return None
    certain = _HIDDEN.sub("\0", source)
    if "](" in certain or ("|" in source and _drops_cells(source)):
        return None
    number = needle.count(certain)
    markup = _GONE if "_" in text else _GONE_TOO
    if any(needle.count(shown.translate(markup)) > number for shown in _at_most(source)):
        return None
    return number


def _at_most(source: str) -> Iterator[str]:
    """The source with what is certainly shown, joined in each way that markup may join it."""
    yield source
    if "](" in source:
        yield _LINK.sub("", source)
    if "`" in source:
        yield source.replace("\n", " ").replace(" `", "`").replace("` ", "`")  # one blank beside them goes with them


def _drops_cells(source: str) -> bool:
    """Whether a table has a row with more cells than columns: those that are too many are not shown."""
    for ruled in _RULED.finditer(source):
        if "|" not in ruled[0]:
            continue
        columns = _bars(ruled[0])
        rows = source[ruled.end() :].lstrip("\n").partition("\n\n")[0]
        if any(_bars(row) > columns for row in rows.split("\n")):
            return True
    return False


def _bars(row: str) -> int:
    """The bars between the cells of a row."""
    return row.strip(" \t>").removeprefix("|").removesuffix("|").count("|")
