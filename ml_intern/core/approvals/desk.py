"""What is allowed, asked and forbidden, as a person looks at it: all rules, where they stand, what a call would do."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.policy import Policy, RuleKind
from ml_intern.core.approvals.rule_check import ORDER, problem_of
from ml_intern.core.calls.host import ToolHost
from ml_intern.core.config import ConfigError
from ml_intern.core.session import Session
from ml_intern.core.tools.router import Refused
from ml_intern.core.tools.spec import ToolContext

Kind = Literal["deny", "ask", "allow", "session"]

_JUDGED: dict[str, tuple[str, Callable[[str], dict[str, str]]]] = {
    "bash": ("bash", lambda words: {"command": words}),
    "read": ("read", lambda words: {"path": words}),
    "write": ("write", lambda words: {"path": words, "content": ""}),
    "edit": ("write", lambda words: {"path": words, "content": ""}),
}
"""Tools that can be judged by what a person types: the tool that judges, and how the words become a call of it."""


@dataclass(frozen=True, slots=True)
class KnownRule:
    """One rule that counts now.

    Attributes:
        kind: What it does; `session` was allowed in passing and ends with the session.
        text: As it is written.
        where: Where it stands, or empty for this session's.
        removable: Whether it can be taken back from here.
        problem: Why it has no effect, or another one than it seems to have; empty when it is fine.
    """

    kind: Kind
    text: str
    where: str = ""
    removable: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen with a call.

    Attributes:
        subject: The call, in words.
        action: `allow`, `ask` or `deny`; empty when it cannot be told without the whole call.
        reason: Why.
        effects: What it would do, as far as that is known.
    """

    subject: str
    action: Literal["allow", "ask", "deny", ""]
    reason: str
    effects: tuple[str, ...] = ()


class RuleDesk:
    """Shows the rules of a session and takes them back.

    Args:
        session: The session.
        host: The tools, and what they are judged with.
        servers: Names of MCP servers.
    """

    def __init__(self, session: Session, host: ToolHost, servers: Iterable[str]) -> None:
        self._session = session
        self._host = host
        self._servers = tuple(servers)

    @property
    def _policy(self) -> Policy:
        return self._session.policy

    @property
    def file(self) -> str:
        """Where rules are kept for later sessions; empty where they cannot be."""
        return str(self._policy.keeper.file) if self._policy.keeper is not None else ""

    async def rules(self) -> tuple[KnownRule, ...]:
        """All rules that count now, in the order in which they are heard.

        Raises:
            ConfigError: The configuration cannot be read.
        """
        found = [rule for kind in ORDER for rule in await self._standing(kind)]
        return (*found, *(KnownRule("session", allowed.rule.shown) for allowed in self._policy.allowances))

    async def _standing(self, kind: RuleKind) -> list[KnownRule]:
        keeper = self._policy.keeper
        own = await asyncio.to_thread(keeper.read, kind) if keeper is not None else ()
        return [
            KnownRule(
                kind,
                rule.text,
                self.file if rule.text in own else "the configuration",
                rule.text in own,
                problem_of(kind, rule, self._policy, self._host.router.names, self._servers),
            )
            for rule in self._policy.standing(kind)
        ]

    async def take_back(self, rule: KnownRule) -> None:
        """Has a rule count no more, in later sessions either.

        Raises:
            ConfigError: It cannot be taken back from here.
        """
        if rule.kind == "session":
            allowed = next((one for one in self._policy.allowances if one.rule.shown == rule.text), None)
            if allowed is None or not self._policy.forget(allowed.rule.text):
                raise ConfigError(f"{rule.text} is not allowed in this session any more.")
            return
        if self._policy.keeper is None or not rule.removable:
            raise ConfigError(f"{rule.text} does not stand in a file of yours; it cannot be taken back from here.")
        await asyncio.to_thread(self._policy.keeper.remove, rule.kind, rule.text)
        self._policy.drop_standing(rule.kind, rule.text)

    async def explain(self, typed: str) -> Explanation:
        """What would happen with a command, or with a call of the tool whose name comes first."""
        tool, words = self._tool_of(typed)
        assessment = await self._assess(tool, words) if words else None
        if assessment is None:
            return self._in_general(tool, words)
        session = self._session
        verdict = self._policy.decide(tool, assessment, session.mode, session.budget)
        effects = tuple(str(effect) for effect in sorted(assessment.effects or {Effect.READ}))
        return Explanation(f"{tool}: {words}", verdict.action, verdict.reason, effects)

    def _tool_of(self, typed: str) -> tuple[str, str]:
        first, _, rest = typed.strip().partition(" ")
        return (first, rest.strip()) if first in self._host.router.names else ("bash", typed.strip())

    async def _assess(self, tool: str, words: str) -> Assessment | None:
        """The tool's account of a call; None when the words are not enough for one."""
        if tool not in _JUDGED:
            return None
        judge, arguments = _JUDGED[tool]
        prepared = self._host.router.prepare_arguments("", judge, arguments(words))
        if isinstance(prepared, Refused) or prepared.spec.assess is None:
            return None
        answer = prepared.spec.assess(prepared.params, self._context())
        return await answer if inspect.isawaitable(answer) else answer

    def _context(self) -> ToolContext:
        session, host = self._session, self._host
        return ToolContext(
            call_id="",
            session_id=session.id,
            workspace=session.workspace,
            spill_dir=host.spill_dir(session.id),
            settings=host.settings,
            env=host.env,
            state=session.state,
            log=_nowhere,
            set_state=_nowhere,
            emit=_nowhere,
        )

    def _in_general(self, tool: str, words: str) -> Explanation:
        """What can be said about a tool when nothing is known of the call."""
        named = [
            f"{kind} {rule.text}"
            for kind in ORDER
            for rule in self._policy.standing(kind)
            if rule.concerns(tool, Assessment(subject=words)) or (not words and rule.tool == tool)
        ]
        rules = f"these rules speak of it: {', '.join(f'`{name}`' for name in named)}" if named else "no rule names it"
        return Explanation(
            f"{tool}: {words}" if words else tool, "", f"{rules}; what it would do is known once the call is whole"
        )


def _nowhere(*_told: object, **_more: object) -> None:
    """Nothing happens, so there is nothing to tell."""
