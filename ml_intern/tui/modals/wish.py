"""What a person wants to run on: light enough to be known before any picker is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """Hardware, how long, and who pays.

    Attributes:
        flavor: Name of the hardware.
        timeout: As typed, for example `2h`; empty where there is none to type.
        namespace: User or organisation; empty for the default.
    """

    flavor: str
    timeout: str = ""
    namespace: str = ""
