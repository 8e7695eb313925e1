"""The command line. Each command imports what it needs, so that `mailcfg --help` is quick."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from bot import __version__
from bot.errors import MailcfgError

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

WRONG_USAGE = 2

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")]


@emulate.command("cliq")
def emulate_cliq(
    host: Host = "127.0.0.1",
    port: Port = 8026,
    profile: Annotated[str, typer.Option(help="documented, or observed in the wild.")] = (
        "documented"
    ),
) -> None:
    """Zoho's accounts server and the Cliq mail configuration API."""
    from bot.sandbox import cliq

    _run(_serve_emulator(cliq.start(host, port, profile=profile)))


@emulate.command("slack")
def emulate_slack(
    host: Host = "127.0.0.1",
    port: Port = 8027,
    request_url: Annotated[
        str | None, typer.Option(help="Deliver by signed HTTP to this address.")
    ] = None,
) -> None:
    """A Slack workspace with four people and two channels."""
    from bot.sandbox import slack
    from bot.sandbox.clock import AdjustableClock

    workspace = slack.SlackWorkspace(clock=AdjustableClock(), request_url=request_url)
    _run(_serve_emulator(slack.start(host, port, workspace=workspace)))


@emulate.command("dns")
def emulate_dns(
    host: Host = "127.0.0.1",
    port: Port = 8053,
    zone: Annotated[str, typer.Option(help="The zone it serves.")] = "acme.example",
) -> None:
    """A DNS server with one editable zone, over UDP and TCP."""
    from bot.sandbox import dns_control

    _run(_serve_emulator(dns_control.start(host, port, zone=zone)))


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


def main() -> None:
    """The entry point: what mailcfg raises on purpose is one sentence, and exit code 2."""
    try:
        cli()
    except MailcfgError as error:
        typer.echo(str(error), err=True)
        sys.exit(WRONG_USAGE)


if __name__ == "__main__":
    main()
