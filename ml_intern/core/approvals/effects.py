"""What a tool call would do to the world, said by the tool before it is done; policy decides on nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from ml_intern.core.display import DisplayBlock


class Effect(StrEnum):
    """One kind of consequence, from harmless to catastrophic."""

    READ = "read"
    """Looks at something; nothing changes."""
    CHANGE = "change"
    """Changes files inside the workspace or runs a program that may."""
    EXTERNAL = "external"
    """A foreign tool that does not say it only reads."""
    DESTROY = "destroy"
    """Deletes or overwrites what cannot be had back."""
    OUTSIDE = "outside"
    """Writes outside the workspace."""
    CREDENTIALS = "credentials"
    """Touches secrets: keys, tokens, password stores."""
    PUBLISH = "publish"
    """Shows or sends something to others."""
    COMPUTE = "compute"
    """Starts a job or a sandbox (paid, or on this machine)."""
    SCHEDULE = "schedule"
    """Sets up something that goes on by itself, again and again."""
    CATASTROPHIC = "catastrophic"
    """Would wreck the machine or the account: the root directory, a whole disk, every repository."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Worst-case price of a call.

    Attributes:
        usd: Dollars; 0.0 is free. None means that the price is unknown, which counts as over every cap.
        note: How it comes about, for example `1.00 $/h for 2 h`.
        kind: What is paid for.
    """

    usd: float | None = 0.0
    note: str = ""
    kind: Literal["job", "sandbox"] = "job"


@dataclass(frozen=True, slots=True)
class Compute:
    """Hardware that a call would use, and for how long: what a person may change before approving.

    Attributes:
        flavor: Its name.
        hardware: What that is, for example `1× A10G 24 GB`; empty when unknown.
        usd_per_hour: Price; None when unknown.
        seconds: It ends after this long at the latest; None when nothing ends it.
        namespace: The user or organisation that pays; empty for the default.
        arguments: Which argument of the call sets `flavor`, `timeout` and `namespace`; what is missing is fixed.
    """

    flavor: str
    hardware: str = ""
    usd_per_hour: float | None = None
    seconds: float | None = None
    namespace: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assessment:
    """A tool's own account of one call.

    Attributes:
        effects: All that the call would do. An empty set means `READ`.
        reasons: One short phrase for each effect worth asking about, for a person to read ("deletes build/").
        cost: Worst case.
        subject: What rules of the form `tool(pattern)` are matched against: the command, the path, the repository.
        editable: Name of the argument a person may edit before approving, or empty.
        display: The whole of what will happen.
        checks: Pre-flight findings as `(passed, text)`.
        compute: The hardware it would use, if it uses any.
    """

    effects: frozenset[Effect] = frozenset()
    reasons: tuple[str, ...] = ()
    cost: Cost = Cost()
    subject: str = ""
    editable: str = ""
    display: tuple[DisplayBlock, ...] = ()
    checks: tuple[tuple[bool, str], ...] = ()
    compute: Compute | None = None


READS_ONLY = Assessment(frozenset({Effect.READ}))
