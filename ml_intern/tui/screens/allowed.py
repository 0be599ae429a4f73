"""What is allowed, asked and forbidden: all rules with where they stand, and what would happen with a command."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.content import Content

from ml_intern.core.approvals.rules import Rule
from ml_intern.core.config import ConfigError
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.modals.rule_text import meaning
from ml_intern.tui.screens.listing import Entry, ListingScreen
from ml_intern.tui.widgets.text import fit, one_line, pad

if TYPE_CHECKING:
    from pathlib import Path

    from ml_intern.core.approvals.desk import Explanation, KnownRule
    from ml_intern.tui.ports import RuleCare

KINDS = {
    "deny": "forbidden, in every mode",
    "ask": "asked about, whatever else is allowed",
    "allow": "allowed without asking, in every session",
    "session": "allowed without asking, in this session",
}
ACTIONS = {
    "allow": ("✓ runs without asking", "$success"),
    "ask": ("? is asked about", "$warning"),
    "deny": ("✗ is refused", "$error"),
    "": ("– depends on the call", "$foreground-muted"),
}
TRIAL = "trial"
RULE_CELLS = 44


class AllowedScreen(ListingScreen):
    """Lists rules, takes them back, and says what would happen with what is typed.

    Args:
        care: Knows the rules.
        rules: Those that count now.
        workspace: Where the agent works.
        words: What to begin with in the filter.
    """

    NAME = "allowed"
    HELP = (
        "The rules that decide without asking you, in the order in which they are heard: what is forbidden, what is "
        "always asked, what is allowed. Type a command, or the name of a tool and what it is about, to see what would "
        "happen and why. {allowed.take_back} takes a rule back: out of your configuration, or out of this session. "
        "What no rule decides, the mode does; paid compute above the cap, schedules and catastrophes are asked about "
        "in any case."
    )
    EMPTY = (
        "No rule of yours decides anything yet: the mode does, and /mode chooses it. In an approval "
        "{approval.remember} allows the like of a call in this session, {approval.always} for good. "
        "Type a command to see what would happen."
    )
    HINTS = (
        ("{allowed.take_back}", "take it back"),
        ("{find}", "what would happen with …"),
        ("{back}", "back"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [bind("allowed.take_back", "take_back")]

    def __init__(
        self, care: RuleCare, rules: Sequence[KnownRule], workspace: Path | None = None, words: str = ""
    ) -> None:
        super().__init__(words)
        self._care = care
        self._rules = list(rules)
        self._workspace = workspace
        self._explained: Explanation | None = None
        self._judged = ""  # what that is about, as it was typed

    # -------------------------------------------------------------------------------------------------- showing

    def entries(self) -> Sequence[Entry]:
        """What would happen with what is typed, then the rules by what they do."""
        found = list[Entry]()
        if self._explained is not None and self.typed and self._judged == self.typed:
            found += [
                Entry("", partial(_heading, "what would happen")),
                Entry(TRIAL, partial(_trial, self._explained), self.typed),
            ]
        for kind, title in KINDS.items():
            found.append(Entry("", partial(_heading, title)))
            for number, rule in enumerate(self._rules):
                if rule.kind == kind:
                    words = f"{title} {rule.kind} {rule.text} {rule.where} {rule.problem}"
                    found.append(Entry(str(number), partial(_row, rule), words, rule.text))
        return found

    @property
    def typed(self) -> str:
        """What is in the filter."""
        return self._filter.value.strip()

    def refresh_entries(self) -> None:
        """Shows the rules that fit; what is typed is judged a moment later."""
        super().refresh_entries()
        if self.typed and self._judged != self.typed:
            self.run_worker(self._explain(self.typed), group="explaining", exclusive=True, exit_on_error=False)

    async def _explain(self, typed: str) -> None:
        self._explained, self._judged = await self._care.explain(typed), typed
        if self.is_mounted and typed == self.typed:
            super().refresh_entries()

    def detail(self, entry_id: str) -> Content:
        """What the rule means and where it stands; why a command would be allowed, asked about or refused."""
        if entry_id == TRIAL:
            return Content("") if self._explained is None else _trial_detail(self._explained)
        rule = self._rules[int(entry_id)]
        lines = [Content(meaning(Rule.of(rule.text), self._workspace, allows=rule.kind in {"allow", "session"}))]
        lines += [Content.styled(f"! {rule.problem}", "$warning")] if rule.problem else []
        where = f"it stands in {rule.where}" if rule.where else "it ends with this session"
        return Content("\n").join([*lines, Content.styled(where, "$foreground-muted")])

    # ------------------------------------------------------------------------------------------------- changing

    def choose(self, entry_id: str) -> None:
        """Asks whether the rule is to be taken back."""
        if entry_id == TRIAL:
            return
        rule = self._rules[int(entry_id)]
        if not rule.removable:
            self.notify(f"It stands in {rule.where} and cannot be taken back from here.", markup=False)
            return
        effect = "Calls like it are asked about again." if rule.kind in {"allow", "session"} else _freed(rule)
        text = f"{one_line(rule.text, 300)}\n\n{effect}"

        def decide(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._take_back(rule), name="taking a rule back", exit_on_error=False)

        self.app.push_screen(Confirm("take the rule back", text, "take it back"), decide)

    def action_take_back(self) -> None:
        """The same, from its own key."""
        if chosen := self.chosen:
            self.choose(chosen)

    async def _take_back(self, rule: KnownRule) -> None:
        try:
            await self._care.take_back(rule)
            self._rules = list(await self._care.rules())
        except ConfigError as error:
            self.notify(str(error), severity="error", markup=False)
        self._judged = ""
        self.refresh_entries()


def _freed(rule: KnownRule) -> str:
    was = "forbidden" if rule.kind == "deny" else "asked about in any case"
    return f"Calls like it are no longer {was}: other rules and the mode decide."


def _heading(title: str, width: int) -> Content:
    return Content.styled(fit(title, width), "$accent bold")


def _trial(said: Explanation, width: int) -> Content:
    word, style = ACTIONS[said.action]
    return Content.assemble(
        "  ", (word, style), (f"  {fit(one_line(said.reason), max(8, width - len(word) - 4))}", "$foreground-muted")
    )


def _trial_detail(said: Explanation) -> Content:
    lines = [Content.styled(one_line(said.subject, 400), "bold"), Content(f"{ACTIONS[said.action][0]}: {said.reason}")]
    if said.effects:
        lines.append(Content.styled(f"it would: {', '.join(said.effects)}", "$foreground-muted"))
    return Content("\n").join(lines)


def _row(rule: KnownRule, width: int) -> Content:
    cells = min(RULE_CELLS, max(10, width * 3 // 5))
    aside = rule.problem or (rule.where and _short(rule.where))
    return Content.assemble(
        ("! " if rule.problem else "  ", "$warning"),
        pad(fit(one_line(rule.text, 400), cells), cells),
        (f"  {fit(aside, max(0, width - cells - 4))}", "$warning" if rule.problem else "$foreground-muted"),
    )


def _short(where: str) -> str:
    """The end of a path, which tells most."""
    return where.rpartition("/")[2]
