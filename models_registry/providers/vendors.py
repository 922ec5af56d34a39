"""Vendors are data: a name, where it lives, which protocol it speaks, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vendor:
    """`base_url` is used where a connection names none; "" means that it must name one."""

    name: str
    protocol: str
    base_url: str = ""
    takes_url: bool = True
    takes_key: bool = True


VENDORS = {
    vendor.name: vendor
    for vendor in (
        Vendor("openai", protocol="openai", base_url="https://api.openai.com/v1"),
        Vendor("openai_compatible", protocol="openai"),
        Vendor("anthropic", protocol="anthropic", base_url="https://api.anthropic.com"),
        Vendor("dashscope", protocol="dashscope", base_url="https://dashscope.aliyuncs.com/api/v1"),
        Vendor("offline", protocol="offline", takes_url=False, takes_key=False),
    )
}


def needs_key(vendor: Vendor, base_url: str) -> bool:
    """At the vendor's own address nothing works without a key; elsewhere servers may be open."""
    return bool(vendor.base_url) and base_url == vendor.base_url
