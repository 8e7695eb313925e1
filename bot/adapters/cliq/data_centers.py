"""Where each Zoho data centre lives.

An organisation's data is in one of them, and its client id is valid there only. Accounts hosts are
Zoho's own table (https://zoho.com/accounts/protocol/oauth/multi-dc.html). The `api_domain` of a
token answer is another host and never used.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

import httpx

from bot.errors import SettingsError

HOST = re.compile(rb"[0-9a-z.:-]+")
"""What is left of a host once httpx has read it; it lets other characters pass."""
PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URLs without a final slash."""

    accounts_url: str
    api_url: str


_DOMAINS = {
    "us": "zoho.com",
    "eu": "zoho.eu",
    "in": "zoho.in",
    "au": "zoho.com.au",
    "jp": "zoho.jp",
    "cn": "zoho.com.cn",
    "ca": "zohocloud.ca",
    "sa": "zoho.sa",
    "uk": "zoho.uk",
}

DATA_CENTERS = {
    name: Endpoints(f"https://accounts.{domain}", f"https://cliq.{domain}")
    for name, domain in _DOMAINS.items()
}


def endpoints(
    data_center: str, *, accounts_url: str | None = None, api_url: str | None = None
) -> Endpoints:
    """The URLs of a data centre, each replaced by the one given here, if any.

    A given URL may have a path, such as `/network/partners` of an external network. It must be
    https, since a token travels there; http is for loopback only. Raises SettingsError, which names
    `ZOHO_DATA_CENTER`, `ZOHO_ACCOUNTS_URL` or `CLIQ_API_URL`.
    """
    usual = DATA_CENTERS.get(data_center.strip().lower())
    if usual is None:
        known = ", ".join(DATA_CENTERS)
        raise SettingsError([f"ZOHO_DATA_CENTER is {data_center!r}; it must be one of {known}."])
    return Endpoints(
        _checked("ZOHO_ACCOUNTS_URL", accounts_url or usual.accounts_url),
        _checked("CLIQ_API_URL", api_url or usual.api_url),
    )


def _checked(variable: str, text: str) -> str:
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise SettingsError([f"{variable} is no URL; try https://cliq.zoho.com."]) from error
    # Looked for in the text: an empty query or fragment would swallow the path put after it.
    has_more = url.userinfo or {"?", "#"} & set(str(url)) or (url.port or 0) > PORT_MAX
    if has_more or not HOST.fullmatch(url.raw_host):
        raise SettingsError([f"{variable} must be a plain URL such as https://cliq.zoho.com."])
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
        raise SettingsError(
            [f"{variable} must start with https:// (http:// is for this machine only)."]
        )
    return str(url).rstrip("/")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
