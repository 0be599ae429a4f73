"""Which calls run, which a person is asked about, and which are refused.

The decision is made on the tool's own assessment, in this order, first match wins: deny rules, plan mode, what is
always asked, the spending cap, ask rules, allow rules, what a person allowed for this session, the approval mode.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import Literal

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.protocol import Mode
from ml_intern.core.settings import ApprovalRules

ALWAYS_ASKED = frozenset({Effect.SCHEDULE, Effect.CATASTROPHIC})
"""Asked about in every mode, and never to be remembered."""

GUARDED = ALWAYS_ASKED | {
    Effect.DESTROY,
    Effect.OUTSIDE,
    Effect.CREDENTIALS,
    Effect.PUBLISH,
    Effect.COMPUTE,
    Effect.EXTERNAL,
}

_WORDS = {
    Effect.CHANGE: "changes files or runs a program",
    Effect.EXTERNAL: "a foreign tool that does not say it only reads",
    Effect.DESTROY: "deletes or overwrites",
    Effect.OUTSIDE: "acts outside the workspace",
    Effect.CREDENTIALS: "touches credentials",
    Effect.PUBLISH: "publishes or sends something",
    Effect.COMPUTE: "starts compute",
    Effect.SCHEDULE: "sets up something that runs again and again",
    Effect.CATASTROPHIC: "could wreck this machine or an account",
}
_PLURALS = {"hf_jobs": "jobs", "sandbox_create": "sandboxes"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a call.

    Attributes:
        action: Run it, ask a person, or refuse it.
        reason: Why it is asked or refused, in words.
        rememberable: Whether "do not ask again in this session" may be offered.
        over_cap: It is asked because it does not fit under the spending cap.
    """

    action: Literal["allow", "ask", "deny"]
    reason: str = ""
    rememberable: bool = True
    over_cap: bool = False


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a person allowed for the rest of the session.

    Attributes:
        tool: Name of the tool.
        effects: No effect beyond these.
        subject: The exact subject, or its beginning when `prefix`.
        prefix: Whether `subject` is the beginning of a simple command.
        max_usd: No dearer than this; None for what costs nothing.
    """

    tool: str
    effects: frozenset[Effect]
    subject: str
    prefix: bool
    max_usd: float

    @classmethod
    def of(cls, tool: str, assessment: Assessment) -> Allowance:
        """The narrowest allowance that is still useful for calls like this one."""
        subject = assessment.subject
        words = subject.split()
        simple = tool == "bash" and len(words) > 1 and not re.search(r"[;&|<>`$()\n\\]", subject)
        # What deletes, leaves the workspace or touches secrets is remembered to the letter only.
        simple = simple and assessment.effects <= {Effect.READ, Effect.CHANGE, Effect.PUBLISH, Effect.EXTERNAL}
        if simple:
            subject = " ".join(words[:2])
        if Effect.COMPUTE in assessment.effects:
            subject, simple = "", True
        return cls(tool, assessment.effects, subject, simple, assessment.cost.usd or 0.0)

    def covers(self, tool: str, assessment: Assessment) -> bool:
        """Whether a call is within what was allowed."""
        if tool != self.tool or not assessment.effects <= self.effects:
            return False
        if assessment.cost.usd is None or assessment.cost.usd > self.max_usd:
            return False
        if not self.prefix:
            return assessment.subject == self.subject
        other = Allowance.of(tool, assessment)
        return other.prefix and other.subject == self.subject

    def describe(self) -> str:
        """What is allowed, for the person who allows it."""
        if not self.subject:
            what = _PLURALS.get(self.tool, self.tool)
            return f"{what} up to ${self.max_usd:.2f}" if self.max_usd else f"{what} that cost nothing"
        subject = self.subject if len(self.subject) <= 40 else self.subject[:39] + "…"
        return f"{self.tool} `{subject}{' …' if self.prefix else ''}`"


class Policy:
    """The approval policy of one session.

    Args:
        rules: Standing answers from the configuration.
    """

    def __init__(self, rules: ApprovalRules) -> None:
        self._rules = rules
        self._allowances: list[Allowance] = []

    def decide(self, tool: str, assessment: Assessment, mode: Mode, budget: Budget) -> Verdict:
        """Decides one call.

        Args:
            tool: Name of the tool.
            assessment: What the call would do.
            mode: Approval mode.
            budget: Spending so far, promises of calls that run at this moment included.
        """
        effects = assessment.effects or frozenset({Effect.READ})
        if rule := self._match("deny", tool, assessment.subject):
            return Verdict("deny", f"the rule `deny {rule}` forbids it")
        if mode == "plan" and effects != {Effect.READ}:
            return Verdict("deny", "in plan mode nothing is changed: only reading tools run")
        objection = budget.objection(assessment.cost)
        if always := effects & ALWAYS_ASKED:
            reason = "; ".join(filter(None, (_reason(assessment, always), objection)))
            return Verdict("ask", reason, rememberable=False, over_cap=bool(objection))
        if objection:
            return Verdict("ask", objection, rememberable=False, over_cap=True)
        if rule := self._match("ask", tool, assessment.subject):
            return Verdict("ask", f"the rule `ask {rule}` wants it asked")
        if self._match("allow", tool, assessment.subject):
            return Verdict("allow")
        if any(allowance.covers(tool, assessment) for allowance in self._allowances):
            return Verdict("allow")
        return self._by_mode(effects, assessment, mode)

    def allow_in_session(self, tool: str, assessment: Assessment) -> None:
        """Remembers that a person does not want to be asked about calls like this one again."""
        if not assessment.effects & ALWAYS_ASKED:
            self._allowances.append(Allowance.of(tool, assessment))

    def restart(self) -> None:
        """Forgets what was allowed for the session."""
        self._allowances.clear()

    def _match(self, kind: Literal["allow", "ask", "deny"], tool: str, subject: str) -> str:
        rules: tuple[str, ...] = getattr(self._rules, kind)
        return next((rule for rule in rules if _rule_matches(rule, tool, subject, whole=kind == "allow")), "")

    @staticmethod
    def _by_mode(effects: frozenset[Effect], assessment: Assessment, mode: Mode) -> Verdict:
        if mode == "yolo":
            return Verdict("allow")
        asked = effects & GUARDED if mode == "guarded" else effects - {Effect.READ}
        return Verdict("ask", _reason(assessment, asked)) if asked else Verdict("allow")


def _reason(assessment: Assessment, effects: frozenset[Effect]) -> str:
    """Why a call is asked about: the tool's own words, else the effects' general ones."""
    words = assessment.reasons or tuple(_WORDS.get(effect, effect.value) for effect in sorted(effects))
    return "; ".join(dict.fromkeys(words))


def _rule_matches(rule: str, tool: str, subject: str, *, whole: bool) -> bool:
    """Whether `tool` or `tool(pattern)` speaks of this call.

    A pattern is a shell-style wildcard over the subject. An allow rule (`whole`) does not match a command with
    operators beyond its wildcard text, so that `bash(git status*)` does not allow `git status; rm -r x`.
    """
    name, parenthesis, pattern = rule.partition("(")
    if not fnmatch.fnmatchcase(tool, name.strip()):
        return False
    if not parenthesis:
        return True
    pattern = pattern.removesuffix(")").strip()
    if whole and tool == "bash" and re.search(r"[;&|<>`\n]|\$\(", subject) and not re.search(r"[;&|<>`]|\$\(", pattern):
        return False
    return fnmatch.fnmatchcase(subject.strip(), pattern) or (not whole and _part_matches(pattern, tool, subject))


def _part_matches(pattern: str, tool: str, subject: str) -> bool:
    """Whether one of the commands of a compound command matches, for rules that restrict."""
    if tool != "bash":
        return False
    parts = re.split(r"[;&|\n]+|\$\(|`|\)", subject)
    return any(fnmatch.fnmatchcase(part.strip(), pattern) for part in parts)
