"""What the words of a shell command stand for, as far as that is known before it runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ml_intern.core.approvals.shell.tokens import Substitution, Text, Variable, Word

UNKNOWN = "\x00"
"""Stands for what is not known beforehand and may be nothing at all."""
SOMETHING = "\x01"
"""Stands for what is not known beforehand but is certainly not nothing."""

_MOST = 256
"""Alternatives of one word that are followed."""
_SPECIAL = "{},*?[]~ \t\n"
_PROTECT = {ord(char): 0xE000 + index for index, char in enumerate(_SPECIAL)}
_RELEASE = {code: char for char, code in _PROTECT.items()}
_NO_BRACES = {ord(char): _PROTECT[ord(char)] for char in "{},~"}
_BRACE = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?\d{1,6})\.\.(-?\d{1,6})")

Variables = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument as a program gets it.

    Attributes:
        text: Its characters; `UNKNOWN` and `SOMETHING` stand for parts that are not known.
        glob: A wildcard in it is replaced by file names.
    """

    text: str
    glob: bool = False

    @property
    def known(self) -> bool:
        """Whether all of it is known beforehand."""
        return UNKNOWN not in self.text and SOMETHING not in self.text

    @property
    def shown(self) -> str:
        """The argument for a person to read."""
        text = self.text.replace(UNKNOWN, "…").replace(SOMETHING, "…")
        return text if len(text) <= 60 else text[:59] + "…"


def expand(word: Word, variables: Variables) -> list[Arg]:
    """The arguments a word becomes: braces, variables and splitting at blanks are followed, wildcards are kept."""
    options = [_options(part, variables) for part in word.parts]
    found: list[Arg] = []
    for pieces in itertools.islice(itertools.product(*options), _MOST):
        joined = "".join(pieces)
        unbraced = _braces(joined) if "{" in joined else [joined]
        quoted = any(isinstance(part, Text) and part.quoted for part in word.parts)
        for text in unbraced:
            fields = re.split(r"[ \t\n]+", text)
            kept = [field for field in fields if field] or ([""] if quoted else [])
            found += [_finish(field, variables) for field in kept]
    return found


def joined_text(word: Word, variables: Variables) -> str:
    """The text of a word that is not split, as in an assignment or a here-document."""
    return "".join(_options(part, variables)[0] for part in word.parts).translate(_RELEASE)


def assigned_text(word: Word, variables: Variables) -> str:
    """The text that a variable gets: as joined, with the home directory in place of a `~` at its beginning."""
    text = joined_text(word, variables)
    first = word.parts[0] if word.parts else None
    tilde = isinstance(first, Text) and not first.quoted and re.match(r"~(?:/|$)", first.text)
    return variables.get("HOME", (UNKNOWN,))[0] + text[1:] if tilde else text


def _finish(text: str, variables: Variables) -> Arg:
    if text.startswith("~"):
        name, slash, rest = text[1:].partition("/")
        home = variables.get("HOME", (UNKNOWN,))[0]
        text = (home if not name else f"{home.rpartition('/')[0]}/{name}") + slash + rest
    glob = any(char in text for char in "*?[")
    return Arg(text.translate(_RELEASE), glob)


def _options(part: Text | Variable | Substitution, variables: Variables) -> tuple[str, ...]:
    if isinstance(part, Text):
        return (part.text.translate(_PROTECT) if part.quoted else part.text,)
    if isinstance(part, Substitution):
        return (_protect(_known_output(part.source, variables), part.quoted),)
    return tuple(_protect(value, part.quoted) for value in _values(part, variables))


def _protect(text: str, quoted: bool) -> str:
    return text.translate(_PROTECT if quoted else _NO_BRACES)


def _values(variable: Variable, variables: Variables) -> tuple[str, ...]:
    known = variables.get(variable.name)
    tail = variable.tail
    if not tail:
        return known or ((SOMETHING if variable.name == "((" else UNKNOWN),)
    operator = tail.lstrip(":")[:1]
    if operator in {"-", "="}:
        fallback = joined_text(variable.fallback, variables) if variable.fallback else ""
        return known or (fallback, SOMETHING)
    if operator == "?":
        return known or (SOMETHING,)
    return (UNKNOWN,)


def _known_output(source: str, variables: Variables) -> str:
    """What a few everyday substitutions print; `SOMETHING` for what cannot be a path, `UNKNOWN` for the rest."""
    words = source.split()
    if words[:1] == ["pwd"] and len(words) == 1:
        return variables.get("PWD", (UNKNOWN,))[0]
    if words == ["git", "rev-parse", "--show-toplevel"]:
        return variables.get("WORKSPACE\0", (UNKNOWN,))[0]
    simple = not re.search(r"[/~;&|<>`$.]", source)
    if simple and words[:1] == ["mktemp"]:
        return "/tmp/tmp." + SOMETHING  # noqa: S108 - a name to judge, nothing is written
    if simple and words and words[0] in {"date", "seq", "nproc", "uname", "hostname", "whoami"}:
        return "1" + SOMETHING
    if simple and words[:2] in (["git", "merge-base"], ["git", "rev-list"], ["git", "describe"]):
        return "1" + SOMETHING
    if simple and words[:2] == ["git", "rev-parse"] and not any(word.startswith(("--show", "--git")) for word in words):
        return "1" + SOMETHING
    return UNKNOWN


def _braces(text: str) -> list[str]:
    """`a{b,c}` as `ab` and `ac`, `{1..3}` as its first and last number."""
    done: list[str] = []
    waiting = [text]
    while waiting and len(done) + len(waiting) <= _MOST:
        current = waiting.pop(0)
        match = next(
            (match for match in _BRACE.finditer(current) if "," in match[1] or _RANGE.fullmatch(match[1])), None
        )
        if match is None:
            done.append(current)
            continue
        limits = _RANGE.fullmatch(match[1])
        parts: Iterable[str] = {limits[1]: "", limits[2]: ""} if limits else match[1].split(",")
        waiting += [current[: match.start()] + part + current[match.end() :] for part in parts]
    return done + waiting
