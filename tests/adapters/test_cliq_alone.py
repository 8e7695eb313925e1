"""The README's example of the client on its own, run as it stands against the emulated Zoho."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.cliq import start

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def example() -> Any:
    """The `main` of the example."""
    (source,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    space: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), space)
    return space["main"]


@pytest.mark.parametrize(
    ("refresh_token", "said"),
    [(None, "MailConfig(email_id='scott@acme.example'"), ("1000.x.y", "Zoho no longer accepts")],
)
async def test_the_example_in_the_readme_reads_the_configuration_or_says_why_not(
    capsys: pytest.CaptureFixture[str], refresh_token: str | None, said: str
):
    served = await start()
    mine = served.emulator.credentials

    await example()(
        mine.client_id,
        mine.client_secret,
        refresh_token or mine.refresh_token,
        accounts_url=served.url,
        api_url=served.url,
    )
    await served.close()

    assert said in capsys.readouterr().out
    assert [e.method for e in served.emulator.requests] == ["POST", "GET"][
        : 1 + (not refresh_token)
    ]
