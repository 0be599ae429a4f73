"""Standing answers as people write them: `tool`, `tool(pattern)`, either with a price behind it (`hf_jobs ≤ $2`).

A pattern is a wildcard over what a call is about: the command, the path, the repository. In rules that allow commands
and paths, a wildcard stands for ordinary things only: what deletes, leaves the workspace, publishes or touches
credentials must be in the rule's own words. `bash(git *)` allows `git commit`, not `git push`; `bash(git push *)` does.
"""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.paths import is_secret_path

NAMED = frozenset({Effect.DESTROY, Effect.OUTSIDE, Effect.CREDENTIALS, Effect.PUBLISH})
"""What a wildcard does not stand for."""
PATH_TOOLS = frozenset({"read", "write", "edit"})

FREE = " ≤ $0"
"""The price behind a rule for what costs nothing."""

_FORM = re.compile(
    r"\s*(?P<tool>[^\s()<≤]+)\s*(?:\((?P<pattern>.*)\))?\s*(?:(?:<=|≤)\s*\$?\s*(?P<usd>\d{1,9}(?:\.\d{1,9})?))?\s*",
    re.DOTALL,
)
_OPERATORS = re.compile(r"[;&|<>`\n]|\$\(")
_PARTS = re.compile(r"[;&|\n]+|\$\(|`|\)")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Rule:
    """One standing answer.

    Attributes:
        text: As it was written.
        tool: The tool's name, or a wildcard over names.
        pattern: A wildcard over what a call is about; None for whatever it is about.
        max_usd: No dearer than this; None for any price.
        problem: What is wrong with the text, or empty. It is understood as well as it can be.
    """

    text: str
    tool: str
    pattern: str | None = None
    max_usd: float | None = None
    problem: str = ""

    @classmethod
    def of(cls, text: str) -> Rule:
        """The rule that a text means."""
        if found := _FORM.fullmatch(text):
            usd, pattern = found["usd"], found["pattern"]
            return cls(text, found["tool"], None if pattern is None else pattern.strip(), float(usd) if usd else None)
        name, _, pattern = text.partition("(")
        problem = "it has no closing parenthesis" if pattern else "it is not of the form tool or tool(pattern)"
        return cls(text, name.strip(), pattern.removesuffix(")").strip() or None, problem=problem)

    @classmethod
    def for_exactly(cls, tool: str, subject: str, max_usd: float | None = None) -> Rule:
        """The rule that means one subject, to the letter."""
        return cls.of(text_of(tool, re.sub(r"([*?\[])", r"[\1]", subject), max_usd))

    @property
    def shown(self) -> str:
        """The rule in the one way that it is written here."""
        return text_of(self.tool, self.pattern, self.max_usd)

    @property
    def wild(self) -> bool:
        """Whether its pattern stands for more than one subject."""
        return self.pattern is not None and _WILD.search(_without_literals(self.pattern)) is not None

    def concerns(self, tool: str, assessment: Assessment, workspace: Path | None = None) -> bool:
        """Whether the rule speaks of a call, or of a part of its command: for rules that ask or forbid."""
        if not self._names(tool, assessment):
            return False
        if self.pattern is None or self._matches(tool, assessment.subject, workspace):
            return True
        parts = _PARTS.split(assessment.subject) if tool == "bash" else ()
        return any(_fits(part.strip(), self.pattern) for part in parts)

    def covers(self, tool: str, assessment: Assessment, workspace: Path | None = None) -> bool:
        """Whether the rule allows a call, all of it.

        A pattern without operators does not match a command with some, so that `bash(git status *)` does not allow
        `git status; rm -r x`.
        """
        if not self._names(tool, assessment):
            return False
        if self.pattern is None:
            return self.max_usd is None or not assessment.effects & NAMED
        subject = assessment.subject
        if tool == "bash" and _OPERATORS.search(subject) and not _OPERATORS.search(self.pattern):
            return False
        if not self._matches(tool, subject, workspace):
            return False
        bound = self.wild and self.pattern != "*" and tool in PATH_TOOLS | {"bash"}
        return not bound or (assessment.effects & NAMED) <= self.means(tool, workspace)

    def means(self, tool: str, workspace: Path | None = None) -> frozenset[Effect]:
        """Which of what a wildcard does not stand for is in the rule's own words."""
        if self.pattern is None:
            return frozenset() if self.max_usd is not None else NAMED
        if tool == "bash":
            return _means_as_command(self.pattern, str(workspace or Path.cwd()))
        return _means_as_path(self.pattern) if tool in PATH_TOOLS and self.wild else NAMED

    def _names(self, tool: str, assessment: Assessment) -> bool:
        if not fnmatch.fnmatchcase(tool, self.tool):
            return False
        usd = assessment.cost.usd
        return self.max_usd is None or (usd is not None and usd <= self.max_usd)

    def _matches(self, tool: str, subject: str, workspace: Path | None) -> bool:
        pattern = self.pattern or ""
        if tool not in PATH_TOOLS:
            return _fits(subject.strip(), pattern)
        pattern = os.path.expanduser(pattern.removeprefix("./"))  # noqa: PTH111 - a pattern, not a path
        whole = [str(workspace / subject)] if workspace is not None else []
        return any(_fits(each, pattern) for each in (subject, *whole))


def text_of(tool: str, pattern: str | None, max_usd: float | None = None) -> str:
    """A rule as it is written."""
    price = "" if max_usd is None else f" ≤ ${max_usd:.2f}" if max_usd else FREE
    return f"{tool}{'' if pattern is None else f'({pattern})'}{price}"


def spoken(text: str) -> str:
    """A rule as it is offered in a sentence."""
    return f"{text.removesuffix(FREE)} at no cost" if text.endswith(FREE) else text


def _fits(subject: str, pattern: str) -> bool:
    """A pattern that ends in ` *` also means what stands before it alone."""
    return fnmatch.fnmatchcase(subject, pattern) or (pattern.endswith(" *") and _fits(subject, pattern[:-2]))


def _without_literals(pattern: str) -> str:
    """The pattern without its characters in brackets that mean themselves."""
    return re.sub(r"\[[*?\[]\]", "", pattern)


@lru_cache(maxsize=256)
def _means_as_command(pattern: str, workspace: str) -> frozenset[Effect]:
    from ml_intern.core.approvals.shell_rules import assess_command

    place = Path(workspace)
    return assess_command(pattern, workspace=place, cwd=place, home=Path.home()).effects & NAMED


@lru_cache(maxsize=256)
def _means_as_path(pattern: str) -> frozenset[Effect]:
    found = set()
    if pattern.startswith(("/", "~")) or ".git" in pattern.split("/"):
        found.add(Effect.OUTSIDE)
    if is_secret_path(pattern):
        found.add(Effect.CREDENTIALS)
    return frozenset(found)
