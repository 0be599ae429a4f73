"""What a refusal or a silence of the Hub means for a job, with the next step."""

from __future__ import annotations

from dataclasses import dataclass

from ml_intern.core.jobs import JobsError, NoCreditError, UnknownJobError, UnreachableError
from ml_intern.services.hub import HubError

_TRANSIENT = frozenset({"offline", "server", "rate_limit"})


@dataclass(frozen=True, slots=True)
class About:
    """What a request was about.

    Attributes:
        endpoint: Base URL of the Hub.
        user: The token's owner, or empty.
        namespace: Whose jobs.
        thing: The job or the schedule, for example `job 66f1`; empty for a request that is about none.
    """

    endpoint: str
    user: str = ""
    namespace: str = ""
    thing: str = ""

    @property
    def billing_url(self) -> str:
        """Where a person adds credit."""
        if self.namespace and self.namespace != self.user:
            return f"{self.endpoint}/organizations/{self.namespace}/settings/billing"
        return f"{self.endpoint}/settings/billing"


def jobs_error(error: HubError, about: About) -> JobsError:
    """One failure in the words of jobs."""
    said = str(error).strip().rstrip(".")
    whose = about.namespace or about.user or "this account"
    if error.kind == "billing":
        text = (
            f"{whose} has no credit for this (402: {said}). Jobs are paid for from the credit of the account they run "
            f"for, and a PRO subscription is no such credit. A person can add some at {about.billing_url}, or let the "
            "same job run for another namespace that has credit. Tell them so and stop here: do not try again by "
            "yourself, and do not rent anything else instead."
        )
        return NoCreditError(text, about.namespace)
    if error.kind in _TRANSIENT:
        return UnreachableError(f"{said}.")
    if error.kind == "missing" and about.thing:
        ways = "`scheduled ps` lists them" if about.thing.startswith("schedule") else "`ps` lists the jobs"
        return UnknownJobError(f"There is no {about.thing} in the namespace {whose}; {ways}.")
    if error.kind in {"token", "no_token"}:
        return JobsError(f"{said}. Set HF_TOKEN to a token that may run jobs, or run `hf auth login`.")
    if error.kind == "forbidden":
        return JobsError(f"The token may not do this for {whose} ({said}). It needs write access to jobs there.")
    return JobsError(f"The Hub refused: {said}.")
