"""What of a text tells where it comes from: addresses, repositories, paths, odd words. Ordinary words do not."""

from __future__ import annotations

import re
from collections.abc import Iterator

WORD = re.compile(r"[^\W_]+")
LATIN_WORD = re.compile(r"[a-z0-9]+")
"""A word in scripts that put no gaps between words may stand right beside it."""

_APART = b"()[]{}<>|;,\"'`=*!?#&^"
_SEPARATORS = bytes.maketrans(_APART, b" " * len(_APART))
_EDGES = ".:/\\@$%+~-_"
_JOINT = re.compile(r"[^\W_][./@:_-]+[^\W_]")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_DOTFILE = re.compile(r"(?:^|/)(\.[a-z][\w-]{2,})$")
_HOST = re.compile(r"(?:[\w-]+\.)+[a-z]{2,12}|\d{1,3}(?:\.\d{1,3}){3}")
_NUMBER = re.compile(r"[\d.,:/%x_-]*(?:\d[ek][\d.+-]*)?[\d.,:/%-]*")
_LONG_WORD = 16
_LONGEST = 300
_SHORTEST = 4

KNOWN_HOSTS = frozenset(
    """
    huggingface.co www.huggingface.co hf.co datasets-server.huggingface.co router.huggingface.co github.com
    www.github.com raw.githubusercontent.com api.github.com download.pytorch.org arxiv.org www.arxiv.org
    localhost 127.0.0.1 0.0.0.0 example.com docs.python.org pytorch.org
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
"""Hosts that say nothing by themselves; what is behind them does."""
_PLACEHOLDER = re.compile(
    r"(?:^|[./])example\.(?:com|org|net)|(?:^|/)path/to|(?:^|/)your-|^(?:user|user-?name|owner|org|namespace|my-?org)/"
)
"""What stands in a manual for a name of one's own."""
_OF_NO_NAME = frozenset({"datasets", "spaces", "models", "blob", "resolve", "tree", "main", "raw", "docs", "api"})
_EVERYDAY = frozenset(
    """
    and/or input/output i/o n/a w/o true/false yes/no train/test train/validation read/write on/off client/server
    usr/local usr/lib usr/share var/log bin/bash usr/bin/env bin/sh usr/bin usr/local/bin dev/null tokens/s it/s
    his/her he/she http https
    """.split()  # noqa: SIM905
)


def telling(small: str) -> frozenset[str]:
    """Those pieces of a text in small letters that name a place or a thing which chance does not name twice.

    An address is there without its query, and its host for itself, and what it names on the Hub or on GitHub too.
    """
    found: set[str] = set()
    for chunk in _chunks(small):
        if b"/" in chunk or b"@" in chunk or len(chunk) >= _LONG_WORD:
            for token in _tokens(chunk):
                found.update(place for place in _places(token) if not _PLACEHOLDER.search(place))
    return frozenset(found)


def loose(small: str) -> frozenset[str]:
    """Those pieces that are worth a look only where orders are given: file names, options, anything with a joint."""
    found = (token for chunk in _chunks(small) for token in _tokens(chunk))
    return frozenset(token for token in found if token not in KNOWN_HOSTS and not _NUMBER.fullmatch(token))


def _chunks(small: str) -> set[bytes]:
    """What stands between gaps, quotes and brackets; as bytes, whose translation is quick."""
    return set(small.encode("utf-8", "surrogatepass").translate(_SEPARATORS).split())


def _tokens(chunk: bytes) -> Iterator[str]:
    """A chunk without what clings to it, if it has a joint such as a dot or a slash, or is long and odd."""
    if chunk[:1] == b"-" or len(chunk) > _LONGEST or (len(chunk) < _LONG_WORD and chunk.isalnum()):
        return
    token = chunk.decode("utf-8", "replace")
    if dotfile := _DOTFILE.search(token):
        yield dotfile[1]
    bare = token.strip(_EDGES)
    if len(bare) < _SHORTEST or bare in _EVERYDAY:
        return
    if _JOINT.search(bare) or (len(bare) >= _LONG_WORD and _is_odd(bare)):
        yield bare


def find_whole(text: str, piece: str, start: int = 0) -> int:
    """Where a piece stands in a text, not as a part of a longer word; -1 when it does not."""
    at = text.find(piece, start)
    while at >= 0:
        end = at + len(piece)
        if not (_continues(text, at - 1, piece[0]) or _continues(text, end, piece[-1])):
            return at
        at = text.find(piece, at + 1)
    return -1


def _continues(text: str, at: int, edge: str) -> bool:
    return 0 <= at < len(text) and edge.isalnum() and text[at].isalnum() and text[at].isascii()


def _is_odd(word: str) -> bool:
    return any(map(str.isdigit, word)) and any(map(str.isalpha, word))


def _places(token: str) -> Iterator[str]:
    if "://" in token:
        yield from _of_address(token.partition("://")[2])
    elif _MAIL.fullmatch(token):
        yield token
    elif "/" in token:
        yield from _of_address(token) if _HOST.fullmatch(token.partition("/")[0]) else _of_path(token)
    elif len(token) >= _LONG_WORD and _is_odd(token) and not re.search(r"[._:]", token):
        yield token


def _of_address(rest: str) -> Iterator[str]:
    host, _, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if host.partition(":")[0] not in KNOWN_HOSTS:
        yield host
        if path:
            yield f"{host}/{path}"
        return
    names = [name for name in path.removesuffix(".git").split("/") if name and name not in _OF_NO_NAME]
    if len(names) > 1:
        yield "/".join(names[:2])


def _of_path(token: str) -> Iterator[str]:
    if any(map(str.isalpha, token)) and not re.fullmatch(r"[\d.]+/\w{1,3}", token):
        yield token
