"""Who may use an app that is served to browsers: whoever has the key, from the page itself and no other site.

The app acts as the person who started it, so an open port is an open shell. A key in the first address becomes a
cookie; requests that other sites make a browser send carry the wrong origin, and names that were made to point here
(DNS rebinding) the wrong host.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

KEY = "key"
COOKIE = "ml_intern_key"


class Guard:
    """Decides on requests by their headers alone.

    Args:
        hosts: Names under which the server is reached, without port. Empty: any.
        key: The key; a random one by default.
    """

    def __init__(self, hosts: frozenset[str], key: str = "") -> None:
        self.key = key or secrets.token_urlsafe(24)
        self._hosts = hosts

    def refusal(self, headers: Mapping[str, str], query: Mapping[str, str], cookies: Mapping[str, str]) -> str:
        """Why a request is not answered, or an empty string."""
        host = headers.get("Host", "")
        if self._hosts and _host_in(f"//{host}") not in self._hosts:
            return "This address is not the server's own."
        origin = headers.get("Origin", "")
        if origin and origin.partition("://")[2] != host:
            return "Another site may not use this server."
        shown = query.get(KEY) or cookies.get(COOKIE, "")
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), self.key.encode()):
            return "Open the address that `ml-intern serve` has printed, with its key."
        return ""


def _host_in(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:  # brackets that do not close
        return ""
