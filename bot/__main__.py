"""The command line. Each command imports what it needs, so that `mailcfg --help` is quick."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from bot import __version__
from bot.errors import MailcfgError, SettingsError

cli = typer.Typer(
    name="mailcfg",
    help="Change control for your organisation's e-mail sender, in Slack.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
emulate = typer.Typer(
    help="Emulated services on this machine, for anyone's tests. Each prints dotenv lines once ready.",
    no_args_is_help=True,
)
cli.add_typer(emulate, name="emulate")
audit = typer.Typer(help="The record of who did what.", no_args_is_help=True)
cli.add_typer(audit, name="audit")

WRONG_USAGE = 2
CHECK_FAILED = 3
DOCTOR_SECONDS = 4.5
"""From when the command's own work begins, which on a busy machine is half a second after its start."""

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")]
EnvFile = Annotated[
    Path,
    typer.Option(help="File with settings; the environment wins over it.", dir_okay=False),
]


@cli.command()
def run(env_file: EnvFile = Path(".env")) -> None:
    """Run the bot: Socket Mode when SLACK_APP_TOKEN is set, else signed HTTP."""
    from bot import logs, settings

    found = settings.load(env_file)
    logs.configure(found.log_level, found.log_format, settings.secrets_of(found))
    _run(_serve_bot(found))


async def _serve_bot(found: Any) -> None:
    from bot.app import build

    async with await build(found) as app:
        await app.wait()


@cli.command()
def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path(".env"),
) -> None:
    """Write a commented .env with a fresh secret key; an existing file is left alone."""
    from bot import settings

    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(settings.template())
    except FileExistsError:
        _fail(f"{file} exists already and is left as it is. Name another file, or move it away.")
    except OSError as error:
        _fail(f"{file} cannot be written ({error.strerror}). Name a file in a folder of yours.")
    file.chmod(0o600)
    typer.echo(f"Wrote {file}. Fill in the Slack and Zoho values, then ask `mailcfg doctor`.")


@cli.command()
def migrate(env_file: EnvFile = Path(".env")) -> None:
    """Create or upgrade the database's tables. `mailcfg run` does it by itself on SQLite."""
    from bot import settings
    from bot.adapters.store.migrate import migrate as upgrade

    upgrade(settings.load_storage(env_file).database_url)
    typer.echo("The database is up to date.")


@cli.command()
def connect(
    code: Annotated[
        str | None,
        typer.Option(
            help="A code from the self client in Zoho's API console (1000.…). Without one, the "
            "credentials are confirmed as they are set."
        ),
    ] = None,
    env_file: EnvFile = Path(".env"),
) -> None:
    """Authorise mailcfg at Zoho: exchange a code for a refresh token and store it, encrypted."""
    from pydantic import SecretStr

    from bot import logs, settings, zoho

    if code is not None and not code.strip():
        _fail("The code is empty. Copy the one that Zoho's API console shows: --code 1000.…")
    found = settings.load_zoho(env_file)
    logs.configure("WARNING", "console", [*settings.secrets_of(found), *([code] if code else [])])
    connected = asyncio.run(zoho.connect(found, SecretStr(code.strip()) if code else None))
    for line in connected.report(found.org):
        typer.echo(line)


@cli.command()
def doctor(
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    env_file: EnvFile = Path(".env"),
) -> None:
    """Whether this deployment will work: each check with what was found and the cure.

    Nothing is changed and nothing posted. Exit code: 0 all ✓, 1 it works with warnings, 2 it will not work.
    """
    started = time.monotonic()
    from bot import logs, settings
    from bot.doctor.examination import Limits
    from bot.doctor.report import examine

    if form not in {"text", "json"}:
        _fail(f"`{form}` is no format: it is text or json.")
    found = settings.load_partly(env_file)
    if found.faults and not env_file.exists():
        typer.echo(settings.there_is_no(env_file), err=True)
    logs.configure("ERROR", "console", settings.secrets_of(found.settings))

    async def show() -> NoReturn:
        left = DOCTOR_SECONDS - (time.monotonic() - started)
        told, code = await examine(found, form, limits=Limits.within(max(left, 2)))
        typer.echo(told)
        sys.stdout.flush()
        # A look-up of a name that hangs in a thread would hold up an ordinary exit.
        os._exit(code)

    asyncio.run(show())


async def _ask_api(env_file: Path) -> Any:
    from bot.zoho import read_sender

    return await read_sender(env_file)


class CheckCommand(TyperCommand):
    """A command whose exit code 2 has a meaning of its own, so that wrong usage is 3."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # typer brings its own click or not: there is no class to name
            if getattr(error, "exit_code", None) == WRONG_USAGE:
                error.exit_code = CHECK_FAILED  # type: ignore[attr-defined]
            raise


@cli.command("diagnose", cls=CheckCommand, hidden=True)
@cli.command(cls=CheckCommand)
def check(
    live: Annotated[
        str | None,
        typer.Option(
            help="File with the API's `data` object, - for standard input; else it is asked."
        ),
    ] = None,
    approved: Annotated[
        str | None,
        typer.Option(help="File with what was approved: email_id, name, dkim_host, dkim_value."),
    ] = None,
    resolver: Annotated[
        list[str] | None, typer.Option(help="Resolver to ask, ip:port; may be repeated.")
    ] = None,
    authoritative: Annotated[
        list[str] | None,
        typer.Option(help="Server of the zone, ip:port; may be repeated. Else they are found out."),
    ] = None,
    not_verified_hours: Annotated[
        float, typer.Option(min=0, help="How long DNS has been right without Zoho verifying it.")
    ] = 0,
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    env_file: EnvFile = Path(".env"),
) -> None:
    """Why mail from the sender is or is not trusted, and what to publish. Needs no Slack.

    Exit code: 0 in order, 1 something is wrong, 2 it could not be checked, 3 wrong usage or API error.
    """
    from bot.check import Options
    from bot.check import check as run_check

    if live is None:
        from bot import logs

        logs.configure("WARNING", "console")
    options = Options(live, approved, resolver or (), authoritative or (), not_verified_hours, form)
    try:
        shown, code = asyncio.run(run_check(options, env_file, _ask_api))
    except MailcfgError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CHECK_FAILED) from error
    typer.echo(shown)
    raise typer.Exit(code)


@audit.command("verify")
def audit_verify(
    head: Annotated[
        str | None, typer.Option(help="A head that was noted elsewhere: must be in the chain.")
    ] = None,
    env_file: EnvFile = Path(".env"),
) -> None:
    """Follow the audit's hash chain and check every vote's seal; names the first bad row."""
    from bot import settings
    from bot.adapters.store.reading import open_to_read
    from bot.domain.audit import noted_head
    from bot.domain.change import Seal
    from bot.services.audit import Verification, verify

    noted = noted_head(head) if head else None
    found = settings.load_storage(env_file)
    keys = tuple(key.get_secret_value().encode() for key in found.secret_key)

    async def check() -> Verification:
        async with open_to_read(found.database_url) as store:
            return await verify(store, found.org, Seal(keys) if keys else None, noted)

    result = asyncio.run(check())
    if result.problem:
        typer.echo(f"The audit of {found.org} does not hold. {result.problem}", err=True)
        raise typer.Exit(1)
    seals = f"{result.requests} requests" if keys else "no votes (MAILCFG_SECRET_KEY is not set)"
    typer.echo(f"The audit of {found.org} holds: {result.entries} entries, {seals} checked.")
    if noted is not None:
        typer.echo(f"The noted head {noted} is in it.")
    typer.echo(f"Head: {result.entries}:{result.head}")


@audit.command("export")
def audit_export(
    form: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    since: Annotated[
        datetime | None, typer.Option(help="Only entries from this time on (UTC).")
    ] = None,
    env_file: EnvFile = Path(".env"),
) -> None:
    """Print the audit, oldest entry first."""
    from bot import settings
    from bot.adapters.store.reading import open_to_read
    from bot.services.audit import export

    if form not in {"jsonl", "csv"}:
        _fail(f"`{form}` is no format: it is jsonl or csv.")
    found = settings.load_storage(env_file)
    start = since.replace(tzinfo=UTC) if since else None

    async def write() -> None:
        async with open_to_read(found.database_url) as store:
            await export(store.audit(found.org), sys.stdout, form, start)

    asyncio.run(write())


@cli.command()
def manifest(
    http: Annotated[
        str | None, typer.Option(help="Public https address of this bot, for signed HTTP.")
    ] = None,
    groups: Annotated[
        bool, typer.Option("--groups", help="With what usergroups as approvers need.")
    ] = False,
) -> None:
    """Print the Slack app's manifest: Socket Mode, or with --http signed HTTP."""
    from bot.adapters.slack.manifest import for_http, for_socket_mode

    text = for_http(http, groups=groups) if http else for_socket_mode(groups=groups)
    typer.echo(text, nl=False)


@cli.command()
def sandbox(
    host: Host = "127.0.0.1",
    port: Port = 8025,
    data: Annotated[
        Path | None, typer.Option(help="Folder that keeps the world; without it nothing is kept.")
    ] = None,
    transport: Annotated[str, typer.Option(help="How Slack reaches the bot: socket or http.")] = (
        "socket"
    ),
    token: Annotated[
        str | None,
        typer.Option(
            help="Who opens the page must know it; needed when HOST is not this machine's own."
        ),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser once it is there.")
    ] = False,
    tour: Annotated[bool, typer.Option("--tour", help="Play the story by itself.")] = False,
    skip: Annotated[
        str | None,
        typer.Option(help="With --tour: leave this step's action out, to see the tour notice."),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(help="With --tour: also draw it to this file.")
    ] = None,
) -> None:
    """The whole product on this machine, with emulated Slack, Zoho and DNS; nothing to sign up for."""
    from bot import logs
    from bot.domain.command import USAGE_HINT
    from bot.sandbox import run as world

    if transport not in {"socket", "http"}:
        _fail(f"`{transport}` is no transport: it is socket or http.")
    logs.configure("ERROR", "console")  # its two approvers are just enough, which is warned of
    if tour:
        raise typer.Exit(asyncio.run(world.play_tour(transport=transport, skip=skip, svg=svg)))
    _check_token(host, token)
    _run(
        world.serve(
            host=host,
            port=port,
            data=data,
            transport=transport,
            token=token,
            usage_hint=USAGE_HINT,
            opened=typer.launch if open_ else None,
            say=_say,
        )
    )


def _check_token(host: str, token: str | None) -> None:
    """Whoever reaches the page can act as anyone in the sandbox."""
    import secrets

    from bot.sandbox.page.guard import SHORTEST_TOKEN, is_loopback

    ready_made = f"--token {secrets.token_urlsafe(18)}"
    if token is None and not is_loopback(host):
        _fail(
            f"Others can reach {host}, so the page needs a token. Add, for instance, {ready_made}"
        )
    if token is not None and len(token) < SHORTEST_TOKEN:
        _fail(f"--token needs {SHORTEST_TOKEN} characters or more, for instance {ready_made}")


def _say(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()


@emulate.command("cliq")
def emulate_cliq(
    host: Host = "127.0.0.1",
    port: Port = 8026,
    profile: Annotated[str, typer.Option(help="documented, or observed in the wild.")] = (
        "documented"
    ),
    switch: Annotated[
        list[str] | None,
        typer.Option(
            help="Turn one of the profile's switches, such as sticky_email or throttle=off; as often "
            "as you like.",
            metavar="NAME[=off]",
        ),
    ] = None,
) -> None:
    """Zoho's accounts server and the Cliq mail configuration API."""
    import secrets

    from bot.sandbox.cliq import serving
    from bot.sandbox.cliq.emulator import CliqEmulator
    from bot.sandbox.cliq.profile import PROFILES, read_switches, sentence

    try:
        switches = read_switches(switch or [])
    except ValueError as error:
        _fail(sentence(error))
    if profile not in PROFILES:
        _fail(f"`{profile}` is no profile: it is {' or '.join(PROFILES)}.")
    token = secrets.token_urlsafe(24)
    _run(
        _serve_emulator(
            serving.start(
                CliqEmulator(profile=profile, switches=switches),
                host=host,
                port=port,
                control_token=token,
            )
        )
    )


@emulate.command("slack")
def emulate_slack(
    host: Host = "127.0.0.1",
    port: Port = 8027,
    request_url: Annotated[
        str | None, typer.Option(help="Deliver by signed HTTP to this address.")
    ] = None,
) -> None:
    """A Slack workspace with four people and two channels."""
    from bot.sandbox.slack import serving
    from bot.sandbox.slack.emulator import SlackWorkspace

    workspace = SlackWorkspace(request_url=request_url)
    _run(_serve_emulator(serving.start(workspace, host=host, port=port)))


@emulate.command("dns")
def emulate_dns(
    host: Host = "127.0.0.1",
    port: Port = 8053,
    zone: Annotated[str, typer.Option(help="The zone it serves.")] = "acme.example",
) -> None:
    """Two name servers of one editable zone, and a resolver with a cache, over UDP and TCP."""
    from bot.sandbox.dns import serving
    from bot.sandbox.dns.emulator import DnsEmulator

    _run(_serve_emulator(serving.start(DnsEmulator(zone), host=host, port=port)))


async def _serve_emulator(starting: Coroutine[Any, Any, Any]) -> None:
    running = await starting
    try:
        for line in running.dotenv():
            typer.echo(line)
        sys.stdout.flush()
        await asyncio.Event().wait()
    finally:
        await running.close()


@cli.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run until it ends or until Ctrl-C or SIGTERM, either of which ends it cleanly."""

    async def until_stopped() -> None:
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(stop, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return

    asyncio.run(until_stopped())


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(WRONG_USAGE)


def main() -> None:
    """The entry point: what mailcfg raises on purpose is one sentence, and exit code 2."""
    try:
        cli()
    except SettingsError as error:
        typer.echo("mailcfg cannot start:", err=True)
        for fault in error.faults:
            typer.echo(f"  {fault}", err=True)
        sys.exit(WRONG_USAGE)
    except MailcfgError as error:
        typer.echo(str(error), err=True)
        sys.exit(WRONG_USAGE)


if __name__ == "__main__":
    main()
