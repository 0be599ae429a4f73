from __future__ import annotations

from pathlib import Path

import pytest

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import Assessment, Cost, Effect
from ml_intern.core.approvals.policy import Policy
from ml_intern.core.approvals.rule_check import problems
from ml_intern.core.approvals.rules import Rule, spoken
from ml_intern.core.approvals.shell_rules import assess_command
from ml_intern.core.approvals.suggest import objection_to, suggestion
from ml_intern.core.settings import ApprovalRules

PLACE = Path("/work/project")


def command(text: str) -> Assessment:
    return assess_command(text, workspace=PLACE, cwd=PLACE, home=Path.home())


def path(subject: str, *effects: Effect) -> Assessment:
    return Assessment(frozenset({Effect.CHANGE, *effects}), subject=subject)


def job(usd: float | None, *more: Effect) -> Assessment:
    return Assessment(frozenset({Effect.COMPUTE, *more}), cost=Cost(usd), subject="run a10g-small sft")


@pytest.mark.parametrize(
    ("text", "tool", "pattern", "usd"),
    [
        ("bash", "bash", None, None),
        ("bash(pytest *)", "bash", "pytest *", None),
        ("bash(echo (a); b)", "bash", "echo (a); b", None),
        ("hf_jobs <= $2", "hf_jobs", None, 2.0),
        ("hf_jobs≤0.50", "hf_jobs", None, 0.5),
        ("hf_jobs(run *) ≤ $2.00", "hf_jobs", "run *", 2.0),
        ("notes__*", "notes__*", None, None),
    ],
)
def test_a_rule_is_a_tool_a_pattern_and_a_price(text: str, tool: str, pattern: str | None, usd: float | None) -> None:
    rule = Rule.of(text)
    assert (rule.tool, rule.pattern, rule.max_usd, rule.problem) == (tool, pattern, usd, "")
    assert Rule.of(rule.shown) == Rule(rule.shown, tool, pattern, usd)


def test_a_rule_that_forbids_holds_although_it_is_written_wrong() -> None:
    rule = Rule.of("bash(git push*")
    assert rule.problem == "it has no closing parenthesis"
    assert rule.concerns("bash", command("git push"))


@pytest.mark.parametrize(
    ("rule", "text", "allowed"),
    [
        ("bash(pytest *)", "pytest", True),
        ("bash(pytest *)", "pytest tests -q", True),
        ("bash(pytest *)", "pytester", False),
        ("bash(pytest *)", "pytest; rm -r src", False),
        ("bash(git *)", "git commit -m x", True),
        ("bash(git *)", "git push", False),
        ("bash(git push *)", "git push origin main", True),
        ("bash(git *)", "git clean -fdx", False),
        ("bash(git *)", "git log --output=/etc/motd", False),
        ("bash(rm *)", "rm -r build", True),
        ("bash(python *)", "python -c 'import shutil; shutil.rmtree(\"/srv\")'", False),
        ("bash(python *)", "python train.py", True),
        ("bash(*)", "rm -r build", True),
        ("bash", "git push", True),
        ("bash(cat *)", "cat ~/.ssh/id_rsa", False),
    ],
)
def test_a_wildcard_stands_for_nothing_that_the_rule_does_not_name(rule: str, text: str, allowed: bool) -> None:
    assert Rule.of(rule).covers("bash", command(text), PLACE) is allowed


@pytest.mark.parametrize(
    ("rule", "call", "allowed"),
    [
        ("write(src/**)", path("src/models/net.py"), True),
        ("write(./src/**)", path("src/net.py"), True),
        (f"write({PLACE}/src/*)", path("src/net.py"), True),
        ("write(src/**)", path("tests/net.py"), False),
        ("write(src/**)", path("src/.env", Effect.CREDENTIALS), False),
        ("write(src/link/*)", path("src/link/authorized", Effect.OUTSIDE), False),
        ("write(**)", path(".git/hooks/pre-commit", Effect.OUTSIDE), False),
        ("write(/data/**)", path("/data/run/x.csv", Effect.OUTSIDE), True),
        ("write(src/.env)", path("src/.env", Effect.CREDENTIALS), True),
    ],
)
def test_paths_of_rules_are_looked_at_from_the_workspace(rule: str, call: Assessment, allowed: bool) -> None:
    assert Rule.of(rule).covers("write", call, PLACE) is allowed


def test_a_path_is_forbidden_however_the_rule_writes_it() -> None:
    for rule in ("write(secret/*)", "write(./secret/*)", f"write({PLACE}/secret/*)"):
        assert Rule.of(rule).concerns("write", path("secret/key.txt"), PLACE), rule


def test_a_price_allows_compute_up_to_it_and_nothing_else() -> None:
    rule = Rule.of("hf_jobs ≤ $2")
    assert rule.covers("hf_jobs", job(2.0))
    assert not rule.covers("hf_jobs", job(2.01))
    assert not rule.covers("hf_jobs", job(None))
    assert not rule.covers("hf_jobs", Assessment(frozenset({Effect.DESTROY}), subject="cancel 66f1"))


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("pytest tests/core -q", "bash(pytest *)"),
        ("git push origin main", "bash(git push *)"),
        ("uv run pytest -q", "bash(uv run pytest *)"),
        ("python train.py --lr 1", "bash(python train.py *)"),
        ("python -m pytest tests", "bash(python -m pytest *)"),
        ("npm install left-pad", "bash(npm install *)"),
        ("python -c 'print(1)'", "bash(python -c 'print(1)')"),
        ("sudo make install", "bash(sudo make install)"),
        ("make && git push", "bash(make && git push)"),
        ("rm -r build", "bash(rm -r build)"),
        ("ls *.py", "bash(ls [*].py)"),
        ("HF_HOME=/x pytest", "bash(HF_HOME=/x pytest)"),
        ("curl -d @data.json https://example.org", "bash(curl -d @data.json https://example.org)"),
    ],
)
def test_what_is_offered_is_narrow_and_covers_the_call(text: str, offered: str) -> None:
    assessment = command(text)
    rule = suggestion("bash", assessment, PLACE)
    assert rule is not None
    assert rule.shown == offered
    assert rule.covers("bash", assessment, PLACE)


def test_what_is_offered_for_other_tools() -> None:
    def shown(tool: str, assessment: Assessment) -> str:
        rule = suggestion(tool, assessment, PLACE)
        return rule.shown if rule else ""

    assert shown("write", path("src/models/net.py")) == "write(src/models/**)"
    assert shown("write", path("train.py")) == "write(train.py)"
    assert shown("write", path("/etc/motd", Effect.OUTSIDE)) == "write(/etc/motd)"
    assert shown("hf_jobs", job(2.0)) == "hf_jobs ≤ $2.00"
    assert spoken(shown("hf_jobs", job(2.0))) == "hf_jobs ≤ $2.00"
    free = shown("hf_jobs", job(0.0))
    assert (free, spoken(free), Rule.of(free).max_usd) == ("hf_jobs ≤ $0", "hf_jobs at no cost", 0)
    assert shown("hf_jobs", job(None)) == ""
    assert shown("github__create_issue", Assessment(frozenset({Effect.EXTERNAL}), subject='{"a": 1}')) == (
        "github__create_issue"
    )
    upload = Assessment(frozenset({Effect.PUBLISH}), subject="upload ada/model")
    assert shown("hf_repo_files", upload) == "hf_repo_files(upload ada/model)"
    assert shown("bash", command("python train.py\npython eval.py")) == ""
    assert shown("bash", command("pytest\u202e tests")) == shown("write", path("src/a\u200b.py")) == ""


@pytest.mark.parametrize(
    ("rule", "for_good", "said"),
    [
        ("bash(pytest *)", True, ""),
        ("bash(pytest", True, "no closing parenthesis"),
        ("write(*)", False, "must begin with bash"),
        ("bash(git *)", False, "does not fit this call"),
        ("bash", True, "narrow it down"),
        ("bash(*)", True, "narrow it down"),
        ("bash", False, ""),
    ],
)
def test_a_rule_of_a_persons_own_is_checked_against_the_call(rule: str, for_good: bool, said: str) -> None:
    found = objection_to(Rule.of(rule), "bash", command("pytest tests"), PLACE, for_good=for_good)
    assert said in found
    assert bool(found) is bool(said)


def test_a_rule_that_destroys_is_not_written_down_in_passing() -> None:
    found = objection_to(Rule.of("bash(rm *)"), "bash", command("rm x"), PLACE, for_good=True)
    assert "deletes or overwrites" in found
    assert objection_to(Rule.of("bash(rm *)"), "bash", command("rm x"), PLACE) == ""


def test_a_rule_that_is_too_wide_for_what_the_call_does_says_what_it_must_name() -> None:
    found = objection_to(Rule.of("bash(git *)"), "bash", command("git push"), PLACE)
    assert found == "what publishes or sends something must be in the rule's own words"
    assert objection_to(Rule.of("hf_jobs ≤ $1"), "hf_jobs", job(2.0), PLACE) == "this call is dearer"


def test_a_session_allows_nothing_beyond_the_effects_that_were_seen() -> None:
    policy, budget = Policy(ApprovalRules(), PLACE), Budget()
    policy.allow_in_session("bash", command("git push origin main"), Rule.of("bash(git *)"))
    assert policy.decide("bash", command("git push origin dev"), "guarded", budget).action == "ask"
    assert policy.decide("bash", command("git commit -m x"), "ask", budget).action == "allow"
    assert policy.decide("bash", command("git clean -fdx"), "guarded", budget).action == "ask"
    assert policy.forget("bash(git *)")
    assert not policy.forget("bash(git *)")
    assert policy.decide("bash", command("git commit -m x"), "ask", budget).action == "ask"


def test_what_a_rule_wants_asked_is_not_offered_to_be_allowed() -> None:
    policy = Policy(ApprovalRules(ask=("bash(pytest *)",)), PLACE)
    assert not policy.decide("bash", command("pytest"), "guarded", Budget()).rememberable


def test_rules_without_effect_are_told_with_the_reason() -> None:
    rules = ApprovalRules(
        deny=("bash(git push *)", "wirte(*)"),
        ask=("bash(git push origin *)", "bash(make *)"),
        allow=("bash(git push origin main)", "bash(make)", "bash(git fetch *)", "notes__read", "other__read", "bash(x"),
    )
    found = problems(Policy(rules), ["bash", "write"], ["notes"])
    hidden = "it is never reached: `deny bash(git push *)` comes before it."
    assert found == [
        "The rule `wirte(*)` under approvals.deny: there is no tool named wirte; did you mean write.",
        f"The rule `bash(git push origin *)` under approvals.ask: {hidden}",
        f"The rule `bash(git push origin main)` under approvals.allow: {hidden}",
        "The rule `bash(make)` under approvals.allow: it is never reached: `ask bash(make *)` comes before it.",
        "The rule `other__read` under approvals.allow: there is no tool named other__read.",
        "The rule `bash(x` under approvals.allow: it has no closing parenthesis.",
    ]


def test_a_rule_is_not_called_unreachable_where_it_is_reached() -> None:
    rules = ApprovalRules(deny=("bash(git push --force *)", "hf_jobs <= $1"), allow=("bash(git push *)", "hf_jobs"))
    found = problems(Policy(rules), ["bash", "hf_jobs"])
    assert found == ["The rule `hf_jobs <= $1` under approvals.deny: it speaks of cheap calls only, up to $1.00."]
