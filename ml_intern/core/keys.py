"""Keys that a person can give, and what a check says of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a check.

    Attributes:
        state: `unreachable`: nothing was learnt about the key.
        text: The same for a person, with the next step where there is one.
    """

    state: Literal["valid", "invalid", "unreachable", "unclear"]
    text: str


@dataclass(frozen=True, slots=True)
class Key:
    """A kind of key.

    Attributes:
        variable: The variable that holds it.
        label: Whose it is.
        opens: What can be done with it.
        page: Where a person gets one.
    """

    variable: str
    label: str
    opens: str
    page: str
