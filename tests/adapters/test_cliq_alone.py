"""The client on its own: the documents' example as it stands, and the way its requests take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.cliq.client import new_http_client
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.serving import start

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")


def example() -> Any:
    """The `main` of the example."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    space: dict[str, Any] = {}
    exec(compile(source, "architecture.md", "exec"), space)
    return space["main"]


async def test_what_travels_in_the_open_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch):
    """Plain http is for this machine only, also where Cliq itself is elsewhere."""
    accounts, proxy = [await start(CliqEmulator(configured=False)) for _ in range(2)]
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)

    async with new_http_client("https://cliq.zoho.com") as http:
        await http.post(f"{accounts.url}/oauth/v2/token")
    await accounts.close()
    await proxy.close()

    assert (len(proxy.emulator.log.all()), len(accounts.emulator.log.all())) == (0, 1)


@pytest.mark.parametrize(
    ("refresh_token", "said"),
    [(None, "email_id='scott@acme.example'"), ("1000.x.y", "Zoho no longer accepts")],
)
async def test_the_example_in_the_readme_reads_the_configuration_or_says_why_not(
    capsys: pytest.CaptureFixture[str], refresh_token: str | None, said: str
):
    served = await start()
    mine = served.emulator.state.credentials

    await example()(
        mine.client_id,
        mine.client_secret,
        refresh_token or mine.refresh_token,
        accounts_url=served.url,
        api_url=served.url,
    )
    await served.close()

    assert said in capsys.readouterr().out
    assert [e.method for e in served.emulator.log.all()] == ["POST", "GET"][
        : 1 + (not refresh_token)
    ]
