"""The command line as an operator meets it: sentences and exit codes, no tracebacks."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.adapters.store.migrate import migrate
from bot.adapters.store.sql import SqlStore, open_engine
from bot.domain.audit import AuditEntry, AuditHead
from tests.fakes import MORNING
from tests.test_settings import GOOD


def mailcfg(
    *words: str, cwd: Path, under: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [*under, sys.executable, "-m", "bot", *words],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(Path(__file__).parents[1])} | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that is in use, over TCP and UDP."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        tcp.listen()
        yield tcp.getsockname()[1]


def test_help_names_every_command(tmp_path: Path):
    done = mailcfg("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("run", "init", "migrate", "manifest", "sandbox", "emulate"):
        assert f" {command} " in done.stdout


def test_run_without_settings_says_what_is_missing_and_stops(tmp_path: Path):
    done = mailcfg("run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("mailcfg cannot start:\n  SLACK_BOT_TOKEN is missing.")
    assert done.stderr.endswith("\n  There is no .env here; `mailcfg init` writes one.\n")
    assert "Traceback" not in done.stderr


def test_init_writes_a_private_file_and_leaves_an_existing_one_alone(tmp_path: Path):
    first = mailcfg("init", cwd=tmp_path)
    written = (tmp_path / ".env").read_text()
    second = mailcfg("init", cwd=tmp_path)

    assert first.returncode == 0
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert second.returncode == 2
    assert "exists already and is left as it is" in second.stderr
    assert (tmp_path / ".env").read_text() == written


def test_init_where_nothing_can_be_written_says_so(tmp_path: Path):
    done = mailcfg("init", "nowhere/env", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "nowhere/env cannot be written (No such file or directory). Name a file in a folder of "
        "yours.\n",
    )


@pytest.mark.parametrize("command", ["run", "doctor", "connect"])
def test_settings_that_are_not_in_utf_8_are_one_sentence(command: str, tmp_path: Path):
    (tmp_path / ".env").write_bytes("MAILCFG_LABEL=Köln\n".encode("latin-1"))
    done = mailcfg(command, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "mailcfg cannot start:\n  .env is not written in UTF-8: save it as that.\n",
    )


def test_an_empty_code_is_not_taken_for_none(tmp_path: Path):
    """An unset variable of the shell, say; without a code the credentials are tried as they are."""
    done = mailcfg("connect", "--code", " ", cwd=tmp_path, **GOOD)
    assert (done.returncode, done.stderr) == (
        2,
        "The code is empty. Copy the one that Zoho's API console shows: --code 1000.…\n",
    )


NOWHERE = {"MAILCFG_DNS_SERVERS": "127.0.0.1:1", "MAILCFG_DNS_AUTHORITATIVE": "127.0.0.1:1"}


def test_doctor_without_settings_says_what_is_missing_and_how_to_begin(tmp_path: Path):
    done = mailcfg("doctor", cwd=tmp_path, **NOWHERE)
    assert done.returncode == 2
    assert done.stderr == "There is no .env here; `mailcfg init` writes one.\n"
    assert done.stdout.startswith("✗ settings                SLACK_BOT_TOKEN is missing. The Bot")
    assert f"{tmp_path / 'mailcfg.db'}: the tables are not there yet" in done.stdout
    assert "This will not work: " in done.stdout.splitlines()[-1]


def test_doctor_prints_json_or_says_that_it_cannot(tmp_path: Path):
    told = mailcfg("doctor", "--format", "json", cwd=tmp_path, **NOWHERE)
    wrong = mailcfg("doctor", "--format", "xml", cwd=tmp_path)
    assert json.loads(told.stdout)["verdict"] == "failure"
    assert (wrong.returncode, wrong.stderr) == (2, "`xml` is no format: it is text or json.\n")


def test_the_manifest_for_http_needs_a_public_address(tmp_path: Path):
    done = mailcfg("manifest", "--http", "http://mailcfg.example.com", cwd=tmp_path)
    assert done.returncode == 2
    assert "is no public https address; try" in done.stderr


@pytest.mark.parametrize("service", ["cliq", "slack", "dns"])
def test_an_emulator_on_a_taken_port_says_so(service: str, tmp_path: Path, taken_port: int):
    done = mailcfg("emulate", service, "--port", str(taken_port), cwd=tmp_path)
    assert done.returncode == 2
    assert f"Port {taken_port} on 127.0.0.1 is in use. Stop what uses it" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sandbox_on_a_taken_port_says_so(tmp_path: Path, taken_port: int):
    done = mailcfg("sandbox", "--port", str(taken_port), cwd=tmp_path)
    assert done.returncode == 2
    assert f"Port {taken_port} on 127.0.0.1 is in use. Stop what uses it" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("sandbox", "--transport", "pigeon"), "`pigeon` is no transport: it is socket or http."),
        (("emulate", "cliq", "--profile", "x"), "`x` is no profile: it is documented or observed."),
        (
            ("emulate", "cliq", "--switch", "throttle=no"),
            "The switch 'throttle' is on or off, not 'no'.",
        ),
        (
            ("emulate", "cliq", "--switch", "sticky"),
            "There is no switch 'sticky'; there are error_codes, blank_401, scope_401, throttle_400, "
            "method_400, sticky_email, oauth_throttle_400, cliq_admin_allowed, strict_put, "
            "fixed_window, extend_lock, retry_after, delete_placeholder, demote_on_loss, "
            "wrong_key_size, throttle.",
        ),
        (("sandbox", "--tour", "--skip", "dance"), "`dance` is no step. There are show, ask,"),
    ],
)
def test_a_wrong_option_is_answered_with_the_right_ones(
    words: tuple[str, ...], sentence: str, tmp_path: Path
):
    done = mailcfg(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path / 'nowhere' / 'mailcfg.db'}"
    done = mailcfg("migrate", cwd=tmp_path, **(GOOD | {"MAILCFG_DATABASE_URL": url}))
    assert done.returncode == 2
    assert "cannot be opened or upgraded" in done.stderr
    assert "Check MAILCFG_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


BY_PERMISSIONS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
AS_ANYBODY = BY_PERMISSIONS if os.geteuid() == 0 else ()
"""Root may read and write everything; like this it goes by the permissions, as everybody does."""


@pytest.mark.parametrize(
    ("words", "mode", "sentence"),
    [
        (("connect", "--code", "1000.a.b"), 0o444, "attempt to write a readonly database. Check"),
        (("connect", "--code", "1000.a.b"), 0o000, "unable to open database file. Check MAILCFG"),
        (("run",), 0o444, "attempt to write a readonly database. Check MAILCFG_DATABASE_URL, that"),
        (("audit", "verify"), 0o000, "may not be read. Run this as the user that mailcfg runs as."),
    ],
)
def test_a_database_of_somebody_else_is_one_sentence_with_the_cure(
    words: tuple[str, ...], mode: int, sentence: str, tmp_path: Path
):
    file = tmp_path / "mailcfg.db"
    migrate(f"sqlite+aiosqlite:///{file}")
    file.chmod(mode)
    done = mailcfg(*words, cwd=tmp_path, under=AS_ANYBODY, **GOOD)

    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "url"),
    [
        (("connect",), "sqlite+aiosqlite:///:memory:"),
        (("audit", "verify"), "nonsense"),
        (("migrate",), "mysql://a/b"),
    ],
)
def test_an_address_of_no_database_is_one_sentence_with_the_cure(
    words: tuple[str, ...], url: str, tmp_path: Path
):
    done = mailcfg(*words, cwd=tmp_path, **(GOOD | {"MAILCFG_DATABASE_URL": url}))

    assert done.returncode == 2
    assert "MAILCFG_DATABASE_URL must start with sqlite+aiosqlite:///, followed by" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_tour_plays_on_a_machine_behind_a_proxy(tmp_path: Path, taken_port: int):
    """Whatever proxy is set for the outside, this machine is reached directly."""
    proxy = f"http://127.0.0.1:{taken_port}"
    done = mailcfg("sandbox", "--tour", cwd=tmp_path, HTTP_PROXY=proxy, HTTPS_PROXY=proxy)
    assert done.returncode == 0, done.stdout[-500:]
    assert "0 unapproved effects" in done.stdout


def test_an_address_that_this_machine_does_not_have_is_one_sentence(tmp_path: Path):
    done = mailcfg("run", cwd=tmp_path, **(GOOD | {"MAILCFG_LISTEN": "192.0.2.1:3000"}))
    assert done.returncode == 2
    assert "Cannot listen on 192.0.2.1:3000: " in done.stderr
    assert "Check MAILCFG_LISTEN." in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_noted_head_of_the_audit_is_compared_in_one_sentence(tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path / 'mailcfg.db'}"
    head = await written_audit(url)
    given = GOOD | {"MAILCFG_DATABASE_URL": url}

    found = mailcfg("audit", "verify", "--head", head.short, cwd=tmp_path, **given)
    other = mailcfg("audit", "verify", "--head", f"1:{'0' * 16}", cwd=tmp_path, **given)
    beyond = mailcfg("audit", "verify", "--head", f"2:{'0' * 16}", cwd=tmp_path, **given)
    typo = mailcfg("audit", "verify", "--head", "1:zero", cwd=tmp_path, **given)

    assert found.stdout.splitlines()[-2:] == [
        f"The noted head {head.short} is in it.",
        f"Head: {head}",
    ]
    assert "Entry 1 is not the one whose head was noted: the audit was written" in other.stderr
    assert "The audit ends at entry 1, before the noted head 2:0000000000000000" in beyond.stderr
    assert typo.stderr.startswith("`1:zero` is no head of an audit.")
    codes = [done.returncode for done in (found, other, beyond, typo)]
    assert codes == [0, 1, 1, 2]


async def written_audit(url: str) -> AuditHead:
    migrate(url)
    store = SqlStore(open_engine(url))
    async with store.begin("default") as tx:
        head = await tx.record(AuditEntry("default", MORNING, "T0ACME:U0ALICE", "refused"))
    await store.close()
    return head
