"""Which hosts belong to which Zoho data centre, and which other URLs are taken."""

from __future__ import annotations

import pytest

from bot.adapters.cliq.data_centers import Endpoints, endpoints
from bot.errors import SettingsError


@pytest.mark.parametrize(
    ("data_center", "accounts", "api"),
    [
        ("us", "https://accounts.zoho.com", "https://cliq.zoho.com"),
        ("eu", "https://accounts.zoho.eu", "https://cliq.zoho.eu"),
        ("in", "https://accounts.zoho.in", "https://cliq.zoho.in"),
        ("au", "https://accounts.zoho.com.au", "https://cliq.zoho.com.au"),
        ("jp", "https://accounts.zoho.jp", "https://cliq.zoho.jp"),
        ("cn", "https://accounts.zoho.com.cn", "https://cliq.zoho.com.cn"),
        ("ca", "https://accounts.zohocloud.ca", "https://cliq.zohocloud.ca"),
        ("sa", "https://accounts.zoho.sa", "https://cliq.zoho.sa"),
        ("uk", "https://accounts.zoho.uk", "https://cliq.zoho.uk"),
        (" EU ", "https://accounts.zoho.eu", "https://cliq.zoho.eu"),
    ],
)
def test_each_data_centre_has_its_hosts(data_center: str, accounts: str, api: str) -> None:
    assert endpoints(data_center) == Endpoints(accounts, api)


def test_an_unknown_data_centre_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="must be one of us, eu, in, au, jp, cn, ca, sa, uk"):
        endpoints("mars")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://cliq.zoho.ae", "https://cliq.zoho.ae"),
        ("https://cliq.zoho.com/network/partners/", "https://cliq.zoho.com/network/partners"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
    ],
)
def test_other_urls_are_taken_without_their_final_slash(given: str, taken: str) -> None:
    chosen = endpoints("us", accounts_url=given, api_url=given)

    assert chosen == Endpoints(taken, taken)


@pytest.mark.parametrize(
    "given",
    [
        "http://cliq.zoho.com",
        "http://127.0.0.1.evil.example",
        "ftp://localhost",
        "https://user:secret@cliq.zoho.com",
        "https://cliq.zoho.com?x=1",
        "https://cliq.zoho.com?",
        "https://cliq.zoho.com/#",
        "https://cliq.zoho.com:99999",
        "cliq.zoho.com",
        "https://",
        "https://[",
    ],
)
def test_urls_that_would_leak_a_token_or_are_none_are_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="CLIQ_API_URL") as refusal:
        endpoints("us", api_url=given)

    assert "secret" not in str(refusal.value)
