"""Reads the arguments of a tool call while the model is still writing them: each character is looked at once."""

from __future__ import annotations

import re
import string
from typing import Literal, Protocol

_PLAIN = re.compile(r'[^"\\]+')
_SPACE = re.compile(r"[ \t\r\n]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}

_DIGITS = frozenset(string.hexdigits)
_UNKNOWN = "\ufffd"

_State = Literal["object", "key or end", "key", "colon", "value", "string", "other", "over"]


class Reading(Protocol):
    """What is told of a JSON object as it comes in."""

    def text(self, key: str, piece: str) -> None:
        """A piece of a text value, decoded; the first one may be empty."""

    def other(self, key: str, piece: str) -> None:
        """A piece of a value that is no text, as it is written."""


class ObjectReader:
    """Takes a JSON object apart piece by piece, as far as its own keys go: what lies deeper is handed on as written.

    Args:
        reading: Is told of each value as it comes in.

    What is no JSON object is passed over from where that shows; whoever runs the call will say so.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._state: _State = "object"
        self._key: list[str] = []
        self._name = ""
        self._escape = ""  # the beginning of an escape sequence
        self._half = ""  # the first half of a character that is written as two
        self._depth = 0
        self._quoted = self._skips = False  # within a value that is no text: in a string, behind a backslash

    def feed(self, piece: str) -> None:
        """Takes the next piece of the object."""
        at = 0
        while at < len(piece) and self._state != "over":
            at = self._string(piece, at) if self._state in ("key", "string") else self._between(piece, at)

    def _between(self, piece: str, at: int) -> int:
        if self._state == "other":
            return self._other(piece, at)
        space = _SPACE.match(piece, at)
        at = space.end() if space else at
        if at == len(piece):
            return at
        return self._mark(piece[at], at)

    def _mark(self, mark: str, at: int) -> int:
        """Takes the one character that settles what comes next; gives where to go on."""
        match self._state, mark:
            case "object", "{":
                self._state = "key or end"
            case "key or end", '"':
                self._state, self._key = "key", []
            case "key or end", ",":
                pass
            case "colon", ":":
                self._state = "value"
            case "value", '"':
                self._state = "string"
                self._reading.text(self._name, "")
            case "value", _:
                self._state, self._depth, self._quoted, self._skips = "other", 0, False, False
                return at
            case _:
                self._state = "over"
        return at + 1

    # --------------------------------------------------------------------------------------------------- strings

    def _string(self, piece: str, at: int) -> int:
        if self._escape:
            return self._unescape(piece, at)
        if plain := _PLAIN.match(piece, at):
            self._say(plain[0])
            return plain.end()
        if piece[at] == "\\":
            self._escape = "\\"
        else:
            self._end_string()
        return at + 1

    def _unescape(self, piece: str, at: int) -> int:
        """Takes one more character of an escape sequence."""
        self._escape += piece[at]
        if self._escape[1] != "u":
            self._say(_ESCAPES.get(self._escape[1], self._escape[1]))
            self._escape = ""
        elif len(self._escape) == 6:
            escape, self._escape = self._escape, ""
            self._say_code(escape)
        return at + 1

    def _say_code(self, escape: str) -> None:
        """One `\\uXXXX`; two of them may make one character."""
        digits = escape[2:]
        char = chr(int(digits, 16)) if set(digits) <= _DIGITS else _UNKNOWN
        if "\ud800" <= char <= "\udbff":
            if self._half:
                self._say("")
            self._half = char
        elif self._half and "\udc00" <= char <= "\udfff":
            both, self._half = self._half + char, ""
            self._say(both.encode("utf-16", "surrogatepass").decode("utf-16"))
        else:
            self._say(_UNKNOWN if "\ud800" <= char <= "\udfff" else char)

    def _say(self, text: str) -> None:
        if self._half:
            self._half = ""
            text = _UNKNOWN + text
        if self._state == "key":
            self._key.append(text)
        else:
            self._reading.text(self._name, text)

    def _end_string(self) -> None:
        if self._state == "key":
            self._name, self._state = "".join(self._key), "colon"
        else:
            self._state = "key or end"

    # ------------------------------------------------------------------------------------------------ other values

    def _other(self, piece: str, at: int) -> int:
        begin = at
        while at < len(piece):
            char = piece[at]
            if self._quoted:
                self._quoted = char != '"' or self._skips
                self._skips = char == "\\" and not self._skips
            elif char in "}]," and not self._depth:
                self._state = "over" if char == "}" else "key or end"
                break
            else:
                self._quoted = char == '"'
                self._depth += (char in "{[") - (char in "}]")
            at += 1
        if at > begin:
            self._reading.other(self._name, piece[begin:at])
        return at
