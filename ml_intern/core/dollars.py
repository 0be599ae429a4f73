"""Amounts of money as people read them."""

from __future__ import annotations


def dollars(usd: float) -> str:
    """An amount in US dollars; amounts below a cent keep two digits, so that a small cap is not read as none."""
    if 0 < usd < 0.01:
        return f"${usd:.2g}" if usd >= 0.0001 else "<$0.0001"
    return f"${usd:,.2f}"
