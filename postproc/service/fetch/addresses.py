"""Which addresses of the network an image may be fetched from: public ones alone."""

from __future__ import annotations

import ipaddress

# Beside what `ipaddress` knows, which differs between releases of Python.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # Teredo, benchmarks, ORCHID and other protocol assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",  # documentation
    )
)
# What is given out as public so far: without mapped IPv4, NAT64, loopback, link-local and private addresses.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public internet."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and (found.scope_id or found not in _GLOBAL_UNICAST):
        return False
    if found.is_multicast or found.is_reserved or not found.is_global:
        return False
    return not any(found.version == network.version and found in network for network in _NOT_PUBLIC)
