"""Addresses that a session has come across."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

MOST_SEEN = 20_000

_ADDRESS = re.compile(r"https?://[^\s<>()\[\]\"'`]+")


@dataclass(slots=True)
class SeenAddresses:
    """Addresses that search results and pages have named in this session; fetching one of them tells nothing new."""

    urls: set[str] = field(default_factory=set)

    def note(self, text: str) -> None:
        """Remembers all addresses in a text."""
        found = itertools.islice(_ADDRESS.finditer(text), MOST_SEEN)  # a page of megabytes may consist of them
        self.urls.update(match[0].rstrip(".,;:") for match in found)
