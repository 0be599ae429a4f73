"""Shell text as tokens: words with their quotes and expansions, redirections, operators.

Written for judging a command, not for running it: every piece of text that a shell would run is found, wherever it
hides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


class ShellSyntaxError(ValueError):
    """The text is not complete: a quote, a bracket or a substitution has no end."""


@dataclass(frozen=True, slots=True)
class Text:
    """Literal characters."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name` or `${name…}`.

    Attributes:
        tail: What follows the name in braces.
        fallback: The text of the tail as a word.
        index: What stands between `[` and `]`, where that runs something.
    """

    name: str
    tail: str
    quoted: bool
    fallback: Word | None = None
    index: Word | None = None


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(…)`, backticks, `<(…)` or `>(…)`: commands whose output stands here."""

    source: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was written."""

    parts: tuple[Text | Variable | Substitution, ...]

    @property
    def literal(self) -> str | None:
        """The text of a word without quotes and expansions, else None."""
        if len(self.parts) == 1 and isinstance(part := self.parts[0], Text) and not part.quoted:
            return part.text
        return None

    def walk(self) -> Iterator[Text | Variable | Substitution]:
        """All parts, those inside `${name:-…}` too."""
        for part in self.parts:
            yield part
            for word in (part.fallback, part.index) if isinstance(part, Variable) else ():
                if word is not None:
                    yield from word.walk()


@dataclass(frozen=True, slots=True)
class Redirect:
    """`operator` without its descriptor; the target of `<<` is the body of the here-document."""

    operator: str
    target: Word


@dataclass(frozen=True, slots=True)
class Operator:
    """`;`, `&&`, `|`, `(`, an end of line, …"""

    text: str


_PLAIN = re.compile(r"[^ \t\n;&|()<>\\'\"$`]+")  # blanks as the shell knows them: others are letters to it, `\r` too
_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
_OPERATOR = re.compile(r"\|\||\|&|&&|;;&|;;|;&|\n|[;&|()]")
_REDIRECT = re.compile(r"(?:\d+|\{\w+\})?(<<<|<<-|<<|<>|<&|<(?!\()|>>|>\||>&|>(?!\())|(&>>|&>)")
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_IN_BRACES = re.compile(r"([!#]?)(\w+|[@*#?$!-])(\[[^\]]*\])?")
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\.", re.DOTALL)
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]]*\])?\+?=")
_ANSI = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", re.DOTALL)
_ANSI_NAMES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "E": "\x1b", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _decode_ansi(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(min(int(code[1:], 16), 0x10FFFF))
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return _ANSI_NAMES.get(code, code)


class Scanner:
    """From characters to tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._tokens: list[Word | Redirect | Operator] = []
        self._bodies: list[tuple[int, str, bool, bool]] = []

    def tokens(self) -> list[Word | Redirect | Operator]:
        """All tokens of the text."""
        while self._skip_blanks():
            if self._redirect() or self._operator():
                continue
            self._tokens.append(Word(tuple(self._word())))
        return self._tokens

    def quoted_text(self) -> Word:
        """The whole text as one word, read as between double quotes."""
        parts: list[Text | Variable | Substitution] = []
        while self._at < len(self._text):
            parts += self._double_quoted(end="")
        return Word(tuple(parts))

    def _peek(self, length: int = 1) -> str:
        return self._text[self._at : self._at + length]

    def _skip_blanks(self) -> bool:
        if blanks := _BLANKS.match(self._text, self._at):
            self._at = blanks.end()
        if self._peek() == "#":
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        return self._at < len(self._text)

    def _operator(self) -> bool:
        match = _OPERATOR.match(self._text, self._at)
        if not match:
            return False
        self._at = match.end()
        self._tokens.append(Operator(match[0]))
        if match[0] == "\n":
            self._read_bodies()
        return True

    def _redirect(self) -> bool:
        match = _REDIRECT.match(self._text, self._at)
        if not match:
            return False
        self._at = match.end()
        operator = match[1] or match[2]
        if blanks := _BLANKS.match(self._text, self._at):
            self._at = blanks.end()
        target = Word(tuple(self._word()))
        if operator in {"<<", "<<-"}:
            quoted = any(isinstance(part, Text) and part.quoted for part in target.parts)
            if not all(isinstance(part, Text) for part in target.parts):
                raise ShellSyntaxError("a here-document ends at what looks like a variable")
            delimiter = "".join(part.text for part in target.parts if isinstance(part, Text))
            self._bodies.append((len(self._tokens), delimiter, operator == "<<-", quoted))
            target = Word(())
        self._tokens.append(Redirect(operator.rstrip("-"), target))
        return True

    def _read_bodies(self) -> None:
        """Reads the here-documents announced on the line that has just ended."""
        for index, delimiter, strip_tabs, quoted in self._bodies:
            lines: list[str] = []
            while self._at < len(self._text):
                line = self._next_line()
                line = line.lstrip("\t") if strip_tabs else line
                if line == delimiter:
                    break
                lines.append(line)
            body = "\n".join(lines)
            word = Word((Text(body, quoted=True),)) if quoted else Scanner(body).quoted_text()
            self._tokens[index] = Redirect("<<", word)
        self._bodies.clear()

    def _next_line(self) -> str:
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        line = self._text[self._at : end]
        self._at = end + 1
        return line

    def _word(self) -> Iterator[Text | Variable | Substitution]:
        written = ""
        while char := self._peek():
            if plain := _PLAIN.match(self._text, self._at):
                self._at = plain.end()
                written += plain[0]
                yield Text(plain[0], quoted=False)
            elif char == "\\":
                yield from self._escaped()
            elif char == "'":
                yield Text(self._until("'"), quoted=True)
            elif char == '"':
                self._at += 1
                yield from self._double_quoted(end='"')
            elif char == "$":
                yield from self._dollar(quoted=False)
            elif char == "`":
                yield Substitution(self._backticks(), quoted=False)
            elif self._peek(2) in {"<(", ">("}:
                self._at += 2
                yield Substitution(self._balanced("(", ")"), quoted=False)
            elif char == "(" and ASSIGNMENT.fullmatch(written):
                self._at += 1
                yield from self._array()
            else:
                return

    def _escaped(self) -> Iterator[Text]:
        char = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if char != "\n":
            yield Text(char, quoted=True)

    def _array(self) -> Iterator[Text | Variable | Substitution]:
        for token in Scanner(self._balanced("(", ")")).tokens():
            if isinstance(token, Word):
                yield from token.parts
                yield Text(" ", quoted=False)

    def _until(self, quote: str) -> str:
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            raise ShellSyntaxError(f"a {quote} has no end")
        inner = self._text[self._at + 1 : end]
        self._at = end + 1
        return inner

    def _double_quoted(self, end: str) -> Iterator[Text | Variable | Substitution]:
        """Parts up to the closing quote, or up to the end of the text when `end` is empty."""
        yield Text("", quoted=True)
        literal: list[str] = []
        while True:
            char = self._peek()
            if not char and end:
                raise ShellSyntaxError('a " has no end')
            if char in ("$", "`", end):
                yield Text("".join(literal), quoted=True)
                literal.clear()
            if char == end:
                self._at += 1
                return
            if char == "$":
                yield from self._dollar(quoted=True)
            elif char == "`":
                yield Substitution(self._backticks(), quoted=True)
            elif char == "\\":
                following = self._text[self._at + 1 : self._at + 2]
                self._at += 2
                literal.append({"\n": ""}.get(following, following if following in '$`"\\' else "\\" + following))
            else:
                run = re.compile(r'[^$`"\\]+' if end else r"[^$`\\]+").match(self._text, self._at)
                literal.append(run[0] if run else char)
                self._at += len(literal[-1])

    def _dollar(self, *, quoted: bool) -> Iterator[Text | Variable | Substitution]:
        following = self._text[self._at + 1 : self._at + 2]
        if following == "(":
            self._at += 2
            yield from self._command_or_sum(quoted=quoted)
        elif following == "{":
            self._at += 2
            yield self._braced(quoted=quoted)
        elif following == "'" and not quoted:
            yield Text(self._ansi_quoted(), quoted=True)
        elif following == '"' and not quoted:
            self._at += 2
            yield from self._double_quoted(end='"')
        elif name := _NAME.match(self._text, self._at + 1):
            self._at = name.end()
            yield Variable(name[0], "", quoted)
        else:
            self._at += 1
            yield Text("$", quoted=True)

    def _command_or_sum(self, *, quoted: bool) -> Iterator[Text | Variable | Substitution]:
        inner = self._balanced("(", ")")
        if inner.startswith("(") and inner.endswith(")") and _one_bracket(inner):
            # A sum yields a number; what it calls is run all the same.
            for part in Scanner(inner[1:-1]).quoted_text().walk():
                if isinstance(part, Substitution):
                    yield part
            yield Variable("((", "", quoted)
            return
        yield Substitution(inner, quoted)

    def _braced(self, *, quoted: bool) -> Variable:
        inner = self._balanced("{", "}")
        match = _IN_BRACES.match(inner)
        if not match:
            return Variable("", inner, quoted, Scanner(inner).quoted_text())
        tail = inner[match.end() :]
        name = match[1] + match[2]
        fallback = Scanner(tail.lstrip(":").lstrip("-=+?")).quoted_text() if tail else None
        index = Scanner(match[3]).quoted_text() if match[3] and {"$", "`"} & set(match[3]) else None
        all_of_them = match[3] in {"[@]", "[*]"}  # several words, between quotes too
        return Variable(name, tail, quoted and not all_of_them, fallback, index)

    def _ansi_quoted(self) -> str:
        start = at = self._at + 2
        while at < len(self._text) and self._text[at] != "'":
            at += 2 if self._text[at] == "\\" else 1
        if at >= len(self._text):
            raise ShellSyntaxError("a $' has no end")
        self._at = at + 1
        return _ANSI.sub(_decode_ansi, self._text[start:at])

    def _backticks(self) -> str:
        at = self._at + 1
        while at < len(self._text) and self._text[at] != "`":
            at += 2 if self._text[at] == "\\" else 1
        if at >= len(self._text):
            raise ShellSyntaxError("a ` has no end")
        inner = self._text[self._at + 1 : at]
        self._at = at + 1
        return re.sub(r"\\([`$\\])", r"\1", inner)

    def _balanced(self, opening: str, closing: str) -> str:
        """The text up to the bracket that closes one which was just read, quotes respected."""
        start, depth = self._at, 1
        while char := self._peek():
            if char == "\\":
                self._at += 2
                continue
            if char == "'" and (opening == "(" or self._text.find("'", self._at + 1) > 0):
                self._until("'")
                continue
            if char == '"':
                self._at += 1
                for _ in self._double_quoted(end='"'):
                    pass
                continue
            depth += (char == opening) - (char == closing)
            self._at += 1
            if depth == 0:
                return self._text[start : self._at - 1]
        raise ShellSyntaxError(f"a {opening} has no end")


def _one_bracket(text: str) -> bool:
    """Whether the first bracket of a text is closed by its last one: as in `((a) + (b))`, not as in `(a); (b)`."""
    depth = 0
    bare = _QUOTED.sub("", text)
    for at, char in enumerate(bare):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return at == len(bare) - 1
    return False


def code_in(word: Word) -> Iterator[str]:
    """The commands that a shell runs to find out what a word stands for."""
    for part in word.walk():
        if isinstance(part, Substitution):
            yield part.source
