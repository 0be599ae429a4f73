"""Scripts of sed and awk as they stand on a command line: what they run and which files they write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ml_intern.core.approvals.shell.expand import SOMETHING, UNKNOWN

_ADDRESS = re.compile(rf"(?:[\s;0-9$,!~+{UNKNOWN}{SOMETHING}]|first|step)*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_REGEX = re.compile(r"(?<=[(,~!&|{;\n=])(\s*)/(?:[^/\\\n\[]|\\.|\[\^?\]?[^\]\n]*\])+/")
_COMMENT = re.compile(r"#[^\n]*")


@dataclass(slots=True)
class Deeds:
    """What a script does besides printing.

    Attributes:
        runs: It runs other programs.
        writes: Files it writes.
        odd: It was not understood.
    """

    runs: bool = False
    writes: list[str] = field(default_factory=list)
    odd: bool = False


class _Sed:
    """Goes through a sed script command by command."""

    def __init__(self, script: str) -> None:
        self._text = script
        self._at = 0
        self.deeds = Deeds()

    def read(self) -> Deeds:
        while self._skip_addresses():
            letter = self._text[self._at]
            self._at += 1
            if letter in "sy":
                self._substitution(letter)
            elif letter == "e":
                self.deeds.runs = True
                self._line()
            elif letter in "wW":
                self.deeds.writes.append(self._line().strip())
            elif letter in "#rRaicbtT:vF" or letter == "}":
                if letter in "#rRaic:":
                    self._line(continued=letter in "aic")
            elif letter not in "{=dDgGhHlLnNpPqQxz":
                self.deeds.odd = True
                return self.deeds
            if letter in "btTv":
                self._label()
        return self.deeds

    def _skip_addresses(self) -> bool:
        """Goes to the letter of the next command."""
        while self._at < len(self._text):
            match = _ADDRESS.match(self._text, self._at)
            self._at = match.end() if match else self._at
            char = self._text[self._at : self._at + 1]
            if char == "/":
                self._delimited("/")
            elif char == "\\" and self._text[self._at + 1 : self._at + 2]:
                self._at += 1
                self._delimited(self._text[self._at])
            else:
                return bool(char)
            while self._text[self._at : self._at + 1] in {"I", "M"}:
                self._at += 1
        return False

    def _delimited(self, mark: str) -> None:
        """Goes past a text that begins here and ends at the next mark."""
        self._at += 1
        in_brackets = False
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "\\":
                self._at += 1
            elif char == "[" and not in_brackets and mark != "[":
                in_brackets = self._text.find("]", self._at + 2) >= 0
                self._at += in_brackets  # a `]` that comes first does not end it
            elif char == "]":
                in_brackets = False
            elif char == mark and not in_brackets:
                break
            self._at += 1
        self._at += 1

    def _substitution(self, letter: str) -> None:
        mark = self._text[self._at : self._at + 1]
        if not mark:
            self.deeds.odd = True
            return
        self._delimited(mark)
        self._at -= 1
        self._replacement(mark)
        while letter == "s" and (flag := self._text[self._at : self._at + 1]) and flag not in ";}\n# ":
            self._at += 1
            self.deeds.runs |= flag == "e"
            if flag == "w":
                self.deeds.writes.append(self._line().strip())

    def _replacement(self, mark: str) -> None:
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != mark:
            self._at += 2 if self._text[self._at] == "\\" else 1
        self._at += 1

    def _line(self, *, continued: bool = False) -> str:
        """The rest of the line, and of those behind it that a backslash joins to it."""
        start = self._at
        end = self._text.find("\n", self._at)
        while continued and end > 0 and self._text[end - 1] == "\\":
            end = self._text.find("\n", end + 1)
        self._at = len(self._text) if end < 0 else end
        return self._text[start : self._at]

    def _label(self) -> None:
        while self._text[self._at : self._at + 1] not in {"", ";", "\n", "}"}:
            self._at += 1


def sed_deeds(script: str) -> Deeds:
    """What a sed script does besides printing."""
    return _Sed(script).read()


def awk_deeds(program: str) -> Deeds:
    """What an awk program does besides printing to its output."""
    bare = _REGEX.sub(r"\1 ", "\n" + _STRING.sub('""', program))
    bare = _COMMENT.sub("", bare)
    runs = re.search(r"\bsystem\s*\(|(?<!\|)\|(?!\|)|@\s*\w", bare) is not None
    writes = re.findall(r'>\s*"([^"]+)"', program)
    if re.search(r"\bprintf?\b[^;}\n]*>\s*[^\s\"=\d]", bare):
        writes.append(SOMETHING)
    return Deeds(runs=runs, writes=writes)
