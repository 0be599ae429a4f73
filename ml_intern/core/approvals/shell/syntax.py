"""Shell text taken apart into simple commands: their words, assignments, redirections and what is piped into them.

Tolerant, since it is made for judging: no more structure is kept than that needs, and what a shell would refuse is
still looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ml_intern.core.approvals.shell.tokens import ASSIGNMENT, Operator, Redirect, Scanner, Text, Word


@dataclass(slots=True)
class Command:
    """A simple command.

    Attributes:
        piped: Its input comes from another command.
        source: That command, where it is a single simple one.
        after_group: There are no words because the redirections belong to a group or loop before them.
        loop: Variable and words of a `for` head.
    """

    words: list[Word] = field(default_factory=list)
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    piped: bool = False
    source: Command | None = None
    after_group: bool = False
    loop: tuple[str, list[Word]] | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.words or self.assignments or self.redirects or self.loop)


@dataclass(frozen=True, slots=True)
class Subshell:
    """Where a `( … )` begins or ends: what changes in it does not reach the commands after it."""

    begins: bool


_SKIPPED = frozenset({"then", "else", "elif", "do", "if", "while", "until", "{", "!"})
_CLOSING = frozenset({"}", "done", "fi", "esac"})
_CASE_ENDS = frozenset({";;", ";&", ";;&"})


class _Parser:
    """From tokens to simple commands."""

    def __init__(self, tokens: list[Word | Redirect | Operator]) -> None:
        self._tokens = tokens
        self._at = 0
        self._found: list[Command | Subshell] = []
        self._current = Command()
        self._cases = 0

    def parse(self) -> list[Command | Subshell]:
        """All simple commands in the order they stand, with the borders of subshells."""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if isinstance(token, Redirect):
                self._current.redirects.append(token)
            elif isinstance(token, Operator):
                self._operator(token.text)
            else:
                self._word(token)
        self._flush()
        return self._found

    def _next_operator(self, offset: int = 0) -> str:
        at = self._at + offset
        token = self._tokens[at] if at < len(self._tokens) else None
        return token.text if isinstance(token, Operator) else ""

    def _flush(self, *, piped: bool = False) -> None:
        finished, self._current = self._current, Command(piped=piped)
        if not finished.empty:
            self._found.append(finished)
        if piped and finished.words and not finished.after_group:
            self._current.source = finished

    def _operator(self, text: str) -> None:
        if text == "(":
            self._open()
        elif text == ")":
            self._flush()
            self._found.append(Subshell(begins=False))
            self._current.after_group = True
        elif text in {"|", "|&"}:
            self._flush(piped=True)
        else:
            self._flush()
            if text in _CASE_ENDS and self._cases:
                self._skip_pattern()

    def _open(self) -> None:
        if len(self._current.words) == 1 and self._next_operator() == ")":
            self._current.words.clear()  # the name of a function; its body is judged where it stands
            self._at += 1
            return
        piped = self._current.piped
        self._flush()
        self._current.piped = piped
        self._found.append(Subshell(begins=True))

    def _word(self, word: Word) -> None:
        current = self._current
        if not current.words and not current.assignments:
            if self._reserved(word.literal or ""):
                return
            if current.after_group:
                self._flush()
                current = self._current
        first = word.parts[0] if word.parts else None
        match = ASSIGNMENT.match(first.text) if isinstance(first, Text) and not first.quoted else None
        if match and isinstance(first, Text) and not current.words:
            rest = Text(first.text[match.end() :], quoted=False)
            current.assignments.append((match[1], Word((rest, *word.parts[1:]))))
        else:
            current.words.append(word)

    def _reserved(self, literal: str) -> bool:
        """Takes a reserved word where a command may begin."""
        if literal in _SKIPPED:
            return True
        if literal in _CLOSING:
            self._cases -= literal == "esac"
            self._current.after_group = True
        elif literal in {"for", "select"}:
            self._loop_head()
        elif literal == "case":
            self._case_head()
        elif literal == "function":
            self._at += 1
            if self._next_operator() == "(" and self._next_operator(1) == ")":
                self._at += 2
        elif literal == "[[":
            self._condition()
        else:
            return False
        return True

    def _loop_head(self) -> None:
        if self._next_operator() == "(":  # for ((…; …; …))
            words = self._words_until(lambda: self._next_operator() == ")" and self._next_operator(1) == ")")
            self._at += 2
            self._current.loop = ("", words)
            self._flush()
            return
        words = self._words_until(lambda: bool(self._next_operator()))
        name, values = (words[0].literal or "" if words else ""), words[1:]
        if values and values[0].literal == "in":
            values = values[1:]
        self._current.loop = (name, values)

    def _case_head(self) -> None:
        self._cases += 1
        subject = self._tokens[self._at : self._at + 1]
        self._current.loop = ("", [word for word in subject if isinstance(word, Word)])
        self._at += 2
        self._flush()
        self._skip_pattern()

    def _skip_pattern(self) -> None:
        """Goes past `pattern | pattern )`, keeping what it runs, unless the case ends here."""
        while self._next_operator() == "\n":
            self._at += 1
        following = self._tokens[self._at] if self._at < len(self._tokens) else None
        if isinstance(following, Word) and following.literal == "esac":
            return
        self._found.append(Command(loop=("", self._words_until(lambda: self._next_operator() == ")"))))
        self._at += 1

    def _condition(self) -> None:
        """`[[ … ]]`, where `<`, `>`, `(` and `&&` are no operators of the shell."""
        words = [Word((Text("[[", quoted=False),))]
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            word = token.target if isinstance(token, Redirect) else token
            if isinstance(word, Word):
                words.append(word)
                if word.literal == "]]":
                    break
        self._current.words = words

    def _words_until(self, stop: Callable[[], bool]) -> list[Word]:
        words: list[Word] = []
        while self._at < len(self._tokens) and not stop():
            token = self._tokens[self._at]
            self._at += 1
            if isinstance(token, Word):
                words.append(token)
            elif isinstance(token, Redirect):
                words.append(token.target)
        return words


def parse(text: str) -> list[Command | Subshell]:
    """Takes shell text apart.

    Raises:
        ShellSyntaxError: A quote, bracket or substitution has no end.
    """
    return _Parser(Scanner(text).tokens()).parse()
