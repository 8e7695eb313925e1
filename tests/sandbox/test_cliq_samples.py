"""The ways of calling that the vendor's page shows (curl, Python, Node) work on the emulator."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cliq_bench import PATH, Zoho, served_zoho

SAMPLES = Path(__file__).parent.parent / "samples"
PROGRAMS = [
    pytest.param("sh", "cliq_call.sh", id="curl"),
    pytest.param(sys.executable, "cliq_call.py", id="http.client"),
    pytest.param("node", "cliq_fetch.mjs", id="fetch"),
    pytest.param("node", "cliq_request.mjs", id="node-https"),
]
ON_THE_PAGE = {
    "name": "Scott",
    "email_id": "scott.fisher@zylkerorg.gq",
    "cname_status": "verified",
    "dkim_key_size": 2048,
}


@pytest.fixture
async def zoho() -> AsyncIterator[Zoho]:
    async with served_zoho() as it:
        yield it


@pytest.fixture(autouse=True)
def _has_programs(program: str) -> None:
    for needed in (program, "curl" if program == "sh" else program):
        if shutil.which(needed) is None and os.environ.get("CI") != "true":
            pytest.skip(f"{needed} is not installed")


async def run(
    zoho: Zoho, program: str, sample: str, method: str, body: Any = None
) -> tuple[int, str]:
    """Run a sample as a process of its own; its answer's status and body."""
    process = await asyncio.create_subprocess_exec(
        program,
        str(SAMPLES / sample),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "CLIQ_ORIGIN": str(zoho.http.base_url).rstrip("/"),
            "CLIQ_TOKEN": zoho.emulator.credentials.access_token,
            "METHOD": method,
            "BODY": json.dumps(body) if body else "",
        },
    )
    output, status = await process.communicate()
    assert process.returncode == 0, status
    return int(status), output.decode()


@pytest.mark.parametrize(("program", "sample"), PROGRAMS)
async def test_the_pages_samples_get_put_and_delete(zoho: Zoho, program: str, sample: str) -> None:
    status, output = await run(zoho, program, sample, "GET")
    assert status == 200
    assert json.loads(output)["data"]["email_id"] == "scott@acme.example"

    status, output = await run(zoho, program, sample, "PUT", ON_THE_PAGE)
    answer = json.loads(output)
    assert (status, answer["url"]) == (200, PATH)
    assert answer["data"]["email_id"] == "scott.fisher@zylkerorg.gq"
    assert answer["data"]["dkim_host"].endswith("._domainkey.zylkerorg.gq")

    assert await run(zoho, program, sample, "DELETE") == (204, "")
    assert await zoho.data() == {}


@pytest.mark.parametrize(("program", "sample"), PROGRAMS)
async def test_the_pages_placeholder_body_is_refused(zoho: Zoho, program: str, sample: str) -> None:
    placeholder = {"field1": "value1", "field2": "value2"}
    status, output = await run(zoho, program, sample, "PUT", placeholder)

    assert status == 400
    assert json.loads(output)["message"].startswith("The request cannot be performed.")
