"""Which network addresses belong to the public internet."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# What Python (3.11) takes for global and is not: IANA's special-purpose registries, and a cloud's own.
NOT_PUBLIC_4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; Oracle Cloud's metadata are at 192.0.0.192
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("168.63.129.16/32"),  # Azure's own services, seen from its machines
)
PUBLIC_6 = IPv6Network("2000::/3")  # all that is assigned for unicast
NOT_PUBLIC_6 = (
    IPv6Network("2002::/16"),  # 6to4: leads to whatever IPv4 address is in it
    IPv6Network("3fff::/20"),  # documentation
)
NAT64 = IPv6Network("64:ff9b::/96")  # networks without IPv4 see all of its internet in here


def is_public(address: str) -> bool:
    """Whether an address leads to the internet, and not to this machine, its network or a cloud's metadata.

    Raises ValueError when it is none.

    >>> [is_public(each) for each in ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::93.184.216.34")]
    [True, True, True]
    >>> [is_public(each) for each in ("127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1")]
    [False, False, False, False]
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped:
            found = found.ipv4_mapped
        elif found in NAT64:
            found = IPv4Address(int(found) & 0xFFFFFFFF)
    if found.is_multicast or not found.is_global:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in NOT_PUBLIC_4)
    return found in PUBLIC_6 and not any(found in network for network in NOT_PUBLIC_6)
