from __future__ import annotations

import pytest

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import READS_ONLY, Assessment, Cost, Effect
from ml_intern.core.approvals.policy import Policy
from ml_intern.core.protocol import Mode
from ml_intern.core.settings import ApprovalRules


def bash(command: str, *effects: Effect) -> Assessment:
    return Assessment(frozenset(effects), subject=command)


def job(usd: float | None, *more: Effect) -> Assessment:
    return Assessment(frozenset({Effect.COMPUTE, *more}), cost=Cost(usd), subject="train.py")


def decide(
    assessment: Assessment,
    mode: Mode = "guarded",
    tool: str = "bash",
    rules: ApprovalRules | None = None,
    cap: float | None = None,
) -> str:
    return Policy(rules or ApprovalRules()).decide(tool, assessment, mode, Budget(cap)).action


MODES: tuple[Mode, ...] = ("guarded", "ask", "plan", "yolo")


@pytest.mark.parametrize("mode", MODES)
def test_reading_is_never_asked_about(mode: Mode) -> None:
    assert decide(READS_ONLY, mode) == "allow"


@pytest.mark.parametrize(
    ("mode", "action"), [("guarded", "allow"), ("ask", "ask"), ("plan", "deny"), ("yolo", "allow")]
)
def test_ordinary_changes(mode: Mode, action: str) -> None:
    assert decide(bash("make", Effect.CHANGE), mode) == action


@pytest.mark.parametrize(
    "effect",
    [Effect.DESTROY, Effect.OUTSIDE, Effect.CREDENTIALS, Effect.PUBLISH, Effect.COMPUTE, Effect.EXTERNAL],
)
def test_guarded_asks_and_yolo_does_not_about_risky_effects(effect: Effect) -> None:
    assert decide(bash("x", effect), "guarded") == "ask"
    assert decide(bash("x", effect), "yolo") == "allow"
    assert decide(bash("x", effect), "plan") == "deny"


@pytest.mark.parametrize("effect", [Effect.SCHEDULE, Effect.CATASTROPHIC])
@pytest.mark.parametrize("mode", ["guarded", "ask", "yolo"])
def test_schedules_and_catastrophes_are_always_asked_and_never_remembered(effect: Effect, mode: Mode) -> None:
    policy = Policy(ApprovalRules(allow=("bash",)))
    assessment = bash("x", effect)
    policy.allow_in_session("bash", assessment)
    verdict = policy.decide("bash", assessment, mode, Budget())
    assert verdict.action == "ask"
    assert not verdict.rememberable


def test_deny_beats_ask_beats_allow() -> None:
    rules = ApprovalRules(allow=("bash",), ask=("bash(git *)",), deny=("bash(git push*)",))
    assert decide(bash("make", Effect.DESTROY), rules=rules) == "allow"
    assert decide(bash("git fetch", Effect.CHANGE), rules=rules) == "ask"
    assert decide(bash("git push origin", Effect.PUBLISH), rules=rules) == "deny"


@pytest.mark.parametrize("mode", MODES)
def test_a_deny_rule_holds_in_every_mode(mode: Mode) -> None:
    assert decide(bash("curl x", Effect.READ), mode, rules=ApprovalRules(deny=("bash(curl*)",))) == "deny"


def test_a_deny_rule_finds_its_command_inside_a_compound_one() -> None:
    rules = ApprovalRules(deny=("bash(git push*)",))
    for command in ("make && git push", "true; git push -f", "echo $(git push)", "a | git push", "x\ngit push"):
        assert decide(bash(command, Effect.PUBLISH), "yolo", rules=rules) == "deny", command


def test_an_allow_rule_does_not_cover_what_follows_an_operator() -> None:
    rules = ApprovalRules(allow=("bash(git status*)",))
    assert decide(bash("git status -s", Effect.COMPUTE), rules=rules) == "allow"
    for command in (
        "git status; rm -r x",
        "git status && rm x",
        "git status $(rm x)",
        "git status\nrm x",
        "git status > y",
    ):
        assert decide(bash(command, Effect.COMPUTE), rules=rules) == "ask", command


def test_rules_name_tools_by_pattern() -> None:
    rules = ApprovalRules(deny=("browser__*",))
    assert decide(READS_ONLY, "yolo", tool="browser__click", rules=rules) == "deny"
    assert decide(READS_ONLY, "yolo", tool="bash", rules=rules) == "allow"


def test_what_does_not_fit_under_the_cap_is_asked_even_in_yolo_with_both_figures() -> None:
    budget = Budget(5.0)
    budget.settle("earlier", 4.0)
    verdict = Policy(ApprovalRules()).decide("hf_jobs", job(2.0), "yolo", budget)
    assert (verdict.action, verdict.over_cap) == ("ask", True)
    assert "$2.00" in verdict.reason
    assert "$1.00" in verdict.reason


def test_exactly_the_remaining_sum_fits() -> None:
    budget = Budget(5.0)
    budget.settle("earlier", 4.0)
    assert Policy(ApprovalRules()).decide("hf_jobs", job(1.0), "yolo", budget).action == "allow"


def test_an_unknown_price_counts_as_over_the_cap() -> None:
    assert decide(job(None), "yolo", "hf_jobs", cap=100.0) == "ask"
    assert decide(job(None), "yolo", "hf_jobs") == "allow"


def test_a_reservation_keeps_a_second_job_from_passing_the_cap() -> None:
    policy, budget = Policy(ApprovalRules()), Budget(5.0)
    assert policy.decide("hf_jobs", job(3.0), "yolo", budget).action == "allow"
    budget.reserve("first", Cost(3.0))
    assert policy.decide("hf_jobs", job(3.0), "yolo", budget).action == "ask"
    budget.release("first")
    assert policy.decide("hf_jobs", job(3.0), "yolo", budget).action == "allow"


def test_what_was_allowed_for_the_session_is_not_asked_again_but_nothing_beyond_it() -> None:
    policy, budget = Policy(ApprovalRules()), Budget()
    policy.allow_in_session("bash", bash("git push origin main", Effect.PUBLISH))
    assert policy.decide("bash", bash("git push origin dev", Effect.PUBLISH), "guarded", budget).action == "allow"
    assert policy.decide("bash", bash("git push && rm -r x", Effect.PUBLISH), "guarded", budget).action == "ask"
    wider = bash("git push origin main", Effect.PUBLISH, Effect.CREDENTIALS)
    assert policy.decide("bash", wider, "guarded", budget).action == "ask"
    assert policy.decide("bash", bash("twine upload x", Effect.PUBLISH), "guarded", budget).action == "ask"
    policy.restart()
    assert policy.decide("bash", bash("git push origin main", Effect.PUBLISH), "guarded", budget).action == "ask"


def test_deletions_are_remembered_to_the_letter_only() -> None:
    policy, budget = Policy(ApprovalRules()), Budget()
    policy.allow_in_session("bash", bash("rm -r build", Effect.DESTROY))
    assert policy.decide("bash", bash("rm -r build", Effect.DESTROY), "guarded", budget).action == "allow"
    assert policy.decide("bash", bash("rm -r src", Effect.DESTROY), "guarded", budget).action == "ask"


def test_jobs_are_remembered_up_to_their_price() -> None:
    policy, budget = Policy(ApprovalRules()), Budget()
    policy.allow_in_session("hf_jobs", job(2.0))
    assert policy.decide("hf_jobs", job(1.5), "guarded", budget).action == "allow"
    assert policy.decide("hf_jobs", job(2.5), "guarded", budget).action == "ask"
    assert policy.decide("hf_jobs", job(None), "guarded", budget).action == "ask"
