"""Which calls run, which a person is asked about, and which are refused.

The decision is made on the tool's own assessment, in this order, first match wins: deny rules, plan mode, what is
always asked, the spending cap, ask rules, allow rules, what a person allowed for this session, the approval mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.rules import Rule
from ml_intern.core.approvals.suggest import objection_to, suggestion
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

RuleKind = Literal["deny", "ask", "allow"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a call.

    Attributes:
        action: Run it, ask a person, or refuse it.
        reason: Why, in words.
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
        rule: The rule they saw.
        effects: What the call that they saw would do; nothing beyond that is allowed.
    """

    rule: Rule
    effects: frozenset[Effect]

    def covers(self, tool: str, assessment: Assessment, workspace: Path | None) -> bool:
        """Whether a call is within what was allowed."""
        if assessment.effects - self.effects - {Effect.READ, Effect.CHANGE}:
            return False
        unpriced = self.rule.max_usd is None and assessment.cost.usd != 0.0 and Effect.COMPUTE not in self.effects
        return not unpriced and self.rule.covers(tool, assessment, workspace)


class Keeper(Protocol):
    """Keeps standing rules where they are found again. Methods block, and raise `core.config.ConfigError`."""

    @property
    def file(self) -> Path:
        """Where they are kept."""

    def add(self, kind: RuleKind, rule: str) -> None:
        """Keeps another one."""

    def remove(self, kind: RuleKind, rule: str) -> None:
        """Keeps one no more."""

    def read(self, kind: RuleKind) -> Sequence[str]:
        """What is kept."""


class Policy:
    """The approval policy of one session.

    Args:
        rules: Standing answers from the configuration.
        workspace: Where the agent works; paths in rules are looked at from there.
        keeper: Keeps rules for later sessions; None where nothing can be kept.
    """

    def __init__(self, rules: ApprovalRules, workspace: Path | None = None, keeper: Keeper | None = None) -> None:
        self._rules: dict[RuleKind, list[Rule]] = {
            "deny": [Rule.of(text) for text in rules.deny],
            "ask": [Rule.of(text) for text in rules.ask],
            "allow": [Rule.of(text) for text in rules.allow],
        }
        self._workspace = workspace
        self._allowances: list[Allowance] = []
        self.keeper = keeper

    def decide(self, tool: str, assessment: Assessment, mode: Mode, budget: Budget) -> Verdict:
        """Decides one call.

        Args:
            tool: Name of the tool.
            assessment: What the call would do.
            mode: Approval mode.
            budget: Spending so far, promises of calls that run at this moment included.
        """
        effects = assessment.effects or frozenset({Effect.READ})
        if rule := self._first("deny", tool, assessment):
            return Verdict("deny", f"the rule `deny {rule.text}` forbids it")
        if mode == "plan" and effects != {Effect.READ}:
            return Verdict("deny", "in plan mode nothing is changed: only reading tools run")
        objection = budget.objection(assessment.cost)
        if always := effects & ALWAYS_ASKED:
            reason = "; ".join(filter(None, (_reason(assessment, always), objection)))
            return Verdict("ask", reason, rememberable=False, over_cap=bool(objection))
        if objection:
            return Verdict("ask", objection, rememberable=False, over_cap=True)
        if rule := self._first("ask", tool, assessment):
            # What is allowed in passing would never be heard behind it.
            return Verdict("ask", f"the rule `ask {rule.text}` wants it asked", rememberable=False)
        if rule := self._first("allow", tool, assessment):
            return Verdict("allow", f"the rule `allow {rule.text}` allows it")
        for allowed in self._allowances:
            if allowed.covers(tool, assessment, self._workspace):
                return Verdict("allow", f"you allowed `{allowed.rule.text}` in this session")
        return self._by_mode(effects, assessment, mode)

    # ------------------------------------------------------------------------------------------- what is allowed

    @property
    def allowances(self) -> Sequence[Allowance]:
        """What was allowed for this session, in that order."""
        return tuple(self._allowances)

    def suggest(self, tool: str, assessment: Assessment) -> Rule | None:
        """The rule to offer to a person who is asked about a call; None when there is none to be shown."""
        return suggestion(tool, assessment, self._workspace)

    def objection(self, rule: Rule, tool: str, assessment: Assessment, *, for_good: bool) -> str:
        """Why a rule of a person's cannot be taken over with the call that they approve; empty when it can."""
        return objection_to(rule, tool, assessment, self._workspace, for_good=for_good)

    def allow_in_session(self, tool: str, assessment: Assessment, rule: Rule | None = None) -> Rule | None:
        """Remembers that a person does not want to be asked about calls like this one again.

        Args:
            tool: Name of the tool.
            assessment: What the call would do; the rule allows nothing beyond.
            rule: The rule that the person saw; None for the narrowest one.

        Returns:
            What is remembered; None when that may not be.
        """
        if assessment.effects & ALWAYS_ASKED or assessment.cost.usd is None:
            return None
        if rule is None or rule.tool != tool:
            rule = self.suggest(tool, assessment) or Rule.for_exactly(tool, assessment.subject)
        if all(allowed.rule.text != rule.text for allowed in self._allowances):
            self._allowances.append(Allowance(rule, assessment.effects))
        return rule

    def forget(self, rule: str) -> bool:
        """Takes back what was allowed in this session. False when it was not."""
        before = len(self._allowances)
        self._allowances = [allowed for allowed in self._allowances if allowed.rule.text != rule]
        return len(self._allowances) < before

    def restart(self) -> None:
        """Forgets what was allowed for the session."""
        self._allowances.clear()

    # --------------------------------------------------------------------------------------------- standing rules

    def standing(self, kind: RuleKind) -> Sequence[Rule]:
        """The rules of a kind, in the order in which they are looked at."""
        return tuple(self._rules[kind])

    def add_standing(self, kind: RuleKind, rule: Rule) -> None:
        """A rule was written down: it counts from now on."""
        if all(known.text != rule.text for known in self._rules[kind]):
            self._rules[kind].append(rule)

    def drop_standing(self, kind: RuleKind, rule: str) -> None:
        """A rule was taken out of where it is kept."""
        self._rules[kind] = [known for known in self._rules[kind] if known.text != rule]

    def _first(self, kind: RuleKind, tool: str, assessment: Assessment) -> Rule | None:
        place = self._workspace
        if kind == "allow":
            return next((rule for rule in self._rules[kind] if rule.covers(tool, assessment, place)), None)
        return next((rule for rule in self._rules[kind] if rule.concerns(tool, assessment, place)), None)

    @staticmethod
    def _by_mode(effects: frozenset[Effect], assessment: Assessment, mode: Mode) -> Verdict:
        if mode == "yolo":
            return Verdict("allow", "in yolo mode it is not asked about")
        asked = effects & GUARDED if mode == "guarded" else effects - {Effect.READ}
        if asked:
            return Verdict("ask", _reason(assessment, asked))
        reads = effects == {Effect.READ}
        return Verdict(
            "allow", "it only reads" if reads else f"{mode} mode does not ask about changes in the workspace"
        )


def _reason(assessment: Assessment, effects: frozenset[Effect]) -> str:
    """Why a call is asked about: the tool's own words, else the effects' general ones."""
    words = assessment.reasons or tuple(_WORDS.get(effect, effect.value) for effect in sorted(effects))
    return "; ".join(dict.fromkeys(words))
