"""Where a web address leads: to the public network or not, and through which proxy."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Gives the IP addresses of a host name for a port; raises OSError when there are none."""


class AddressError(Exception):
    """An address must not be fetched; the text is a sentence that says why."""


class UnknownHostError(Exception):
    """Nobody knows a host of this name."""


async def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]).partition("%")[0] for *_, address in found]


def is_public(address: str) -> bool:
    """Whether an IP address lies in the public network, and so does the IPv4 address that may be hidden in it."""
    found = ipaddress.ip_address(address)
    if not found.is_global or found.is_multicast:
        return False
    return isinstance(found, ipaddress.IPv4Address) or all(inner.is_global for inner in _hidden(found))


def _hidden(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that a router on the way may send packets to instead."""
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address in _NAT64 or address in _LOCAL_NAT64 or address in _COMPATIBLE:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Network:
    """The way to web addresses.

    Attributes:
        resolve: Looks names up.
        is_public: Tells whether an IP address lies in the public network.
    """

    resolve: Resolve = resolve
    is_public: Callable[[str], bool] = is_public

    async def public_address(self, url: str) -> str:
        """The IP address to connect to for an address whose host, whichever of its addresses is taken, is public.

        Raises:
            AddressError: It is not, or the address is none of the web.
            UnknownHostError: There is no such host.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise AddressError(f"{url!r} is no web address: it must begin with https:// or http://.")
        try:
            found = await self.resolve(parts.hostname, parts.port or _PORTS[parts.scheme])
        except (OSError, UnicodeError) as error:
            raise UnknownHostError(f"The host {parts.hostname} is not known.") from error
        if not found or not all(map(self.is_public, found)):
            raise AddressError(
                f"{parts.hostname} is an address of this machine or of a private network; fetching it is not allowed."
            )
        return found[0]


def is_loopback(url: str) -> bool:
    """Whether an address names this machine."""
    return (urlsplit(url).hostname or "") in _LOOPBACK


def proxy_for(url: str) -> str:
    """The proxy that the environment (or the system's settings) names for an address; empty for none.

    A server on this machine is never reached through a proxy.
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or is_loopback(url) or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"
