"""Programs in the languages that the vendor's page shows work on the emulator, as they stand.

Deluge is not among them: it runs on Zoho's servers only.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cliq_bench import PATH, Zoho

SAMPLES = Path(__file__).parent.parent / "samples"
RUN = {
    "curl": ["sh", "cliq_call.sh"],
    "http.client": [sys.executable, "cliq_call.py"],
    "fetch": ["node", "cliq_fetch.mjs"],
    "node-https": ["node", "cliq_request.mjs"],
    "xhr": ["node", "--require", "./xhr_shim.cjs", "cliq_xhr.js"],
    "go": ["{built}/cliq_call"],
    "java": ["java", "-cp", "{built}", "CliqCall"],
    "c#": ["mono", "{built}/cliq_call.exe"],
}
BUILD = {
    "go": ["go", "build", "-o", "{built}/cliq_call", "cliq_call.go"],
    "java": ["javac", "-d", "{built}", "CliqCall.java"],
    "c#": ["mcs", "-r:System.Net.Http.dll", "-out:{built}/cliq_call.exe", "cliq_call.cs"],
}
TOOL = {
    "curl": "curl",
    "fetch": "node",
    "node-https": "node",
    "xhr": "node",
    "go": "go",
    "java": "javac",
    "c#": "mcs",
}
PACKAGES = {
    "curl": "curl",
    "node": "nodejs",
    "go": "golang-go",
    "javac": "default-jdk-headless",
    "mcs": "mono-mcs and libmono-system-net-http4.0-cil",
}
"""Debian's, that bring a tool and what runs its programs."""
MUST_BE_THERE = {"curl", "node"} if os.environ.get("CI") == "true" else set[str]()
"""A tool that is not there skips its samples, but for these."""
ON_THE_PAGE = {
    "name": "Scott",
    "email_id": "scott.fisher@zylkerorg.gq",
    "cname_status": "verified",
    "dkim_key_size": 2048,
}


@pytest.fixture(scope="module", params=RUN)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs one sample, which is built first where its language wants that."""
    language: str = request.param
    tool = TOOL.get(language)
    if tool and tool not in MUST_BE_THERE and shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed; Debian has it in {PACKAGES[tool]}")
    folder = tmp_path_factory.mktemp("built")
    if language in BUILD:
        build(BUILD[language], folder)
    return [part.format(built=folder) for part in RUN[language]]


def build(command: list[str], folder: Path) -> None:
    command = [part.format(built=folder) for part in command]
    environment = {**os.environ, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off"}
    subprocess.run(command, cwd=SAMPLES, env=environment, check=True)


async def run(zoho: Zoho, program: list[str], method: str, body: Any = None) -> tuple[int, str]:
    """Run a sample as a process of its own; its answer's status and body."""
    process = await asyncio.create_subprocess_exec(
        *program,
        cwd=SAMPLES,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "CLIQ_ORIGIN": str(zoho.http.base_url).rstrip("/"),
            "CLIQ_TOKEN": zoho.emulator.state.credentials.access_token,
            "METHOD": method,
            "BODY": json.dumps(body) if body else "",
        },
    )
    output, status = await process.communicate()
    assert process.returncode == 0, status
    return int(status), output.decode()


async def test_the_pages_samples_get_put_and_delete(zoho: Zoho, program: list[str]) -> None:
    status, output = await run(zoho, program, "GET")
    assert status == 200
    assert json.loads(output)["data"]["email_id"] == "scott@acme.example"

    status, output = await run(zoho, program, "PUT", ON_THE_PAGE)
    answer = json.loads(output)
    assert (status, answer["url"]) == (200, PATH)
    assert answer["data"]["email_id"] == "scott.fisher@zylkerorg.gq"
    assert answer["data"]["dkim_host"].endswith("._domainkey.zylkerorg.gq")

    assert await run(zoho, program, "DELETE") == (204, "")
    assert await zoho.data() == {}


async def test_the_pages_placeholder_body_is_refused(zoho: Zoho, program: list[str]) -> None:
    placeholder = {"field1": "value1", "field2": "value2"}
    status, output = await run(zoho, program, "PUT", placeholder)

    assert status == 400
    assert json.loads(output)["message"].startswith("The request cannot be performed.")
