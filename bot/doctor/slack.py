"""Slack, as far as a deployment depends on it: tokens, scopes, channels, people, the time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any

import aiohttp

from bot.adapters.slack.directory import SlackDirectory
from bot.adapters.slack.inspection import (
    ChannelFacts,
    Introduction,
    channel_facts,
    introduction,
    try_app_token,
)
from bot.adapters.slack.manifest import GROUP_SCOPES, SCOPES
from bot.adapters.slack.workspace import SlackFault, Workspace, web_client
from bot.connection import refused
from bot.doctor.clocks import judge_clock, read_date
from bot.doctor.findings import (
    Judgement,
    NotChecked,
    Sheet,
    failure,
    ok,
    warning,
)
from bot.errors import CouldNotCheck, GroupTrouble, SettingsError
from bot.ports import Clock
from bot.services.approvers import Approvers
from bot.settings import Partial, Settings

ONLY_FOR_DOCTOR = frozenset({"channels:read", "groups:read"})
REINSTALL = (
    "Paste `mailcfg manifest` (with --groups where a usergroup approves) as the app's manifest at "
    "api.slack.com/apps and install the app again."
)
GONE = frozenset({"channel_not_found", "invalid_channel"})


class SlackCheckup:
    """All checks of one workspace. `call_seconds` bounds each call."""

    def __init__(self, found: Partial, clock: Clock, call_seconds: float) -> None:
        self._found = found
        self._settings = found.settings
        self._clock = clock
        self._call_seconds = call_seconds
        self._channels = dict(_channels(found.settings))
        self._groups = found.settings.policy.groups

    def sheet(self) -> Sheet:
        groups = ("slack.usergroups",) if self._groups else ()
        fixed = ("slack.bot_token", "slack.scopes", "slack.clock", "slack.app_token")
        return Sheet(*fixed, *self._channels, "slack.approvers", *groups)

    async def run(self, sheet: Sheet) -> None:
        async with aiohttp.ClientSession() as session:
            _, ended = await asyncio.gather(
                sheet.fill("slack.app_token", self._app_token(session)),
                self._with_bot_token(sheet, session),
                return_exceptions=True,  # the session is open until both have ended
            )
        if ended is not None:
            raise ended

    async def _app_token(self, session: aiohttp.ClientSession) -> Judgement:
        token = self._settings.slack_app_token
        self._need("SLACK_APP_TOKEN", "SLACK_API_URL")
        if token is None:
            return ok("None is set: Slack reaches mailcfg by HTTP, signed with the signing secret.")
        url = self._settings.slack_api_url
        try:
            await self._timely(try_app_token(token, url, session))
        except SlackFault as fault:
            if fault.is_token_trouble or fault.error == "missing_scope":
                return failure(refused(fault))
            raise
        return ok("Slack lets mailcfg connect over Socket Mode.")

    async def _with_bot_token(self, sheet: Sheet, session: aiohttp.ClientSession) -> None:
        self._need("SLACK_BOT_TOKEN", "SLACK_API_URL")
        settings = self._settings
        client = web_client(settings.slack_bot_token, settings.slack_api_url, session)
        workspace = Workspace(client, session)
        asked = self._clock.now()
        try:
            us = await self._timely(introduction(workspace))
        except SlackFault as fault:
            if not fault.is_token_trouble:
                raise
            sheet.put("slack.bot_token", failure(refused(fault)))
            raise NotChecked("the bot token does not work") from fault
        between = asked + (self._clock.now() - asked) / 2
        date = read_date(us.date)
        sheet.put("slack.bot_token", ok(f"It is {us.bot}'s in the workspace {us.team}."))
        sheet.put("slack.scopes", judge_scopes(us, has_groups=bool(self._groups)))
        sheet.put("slack.clock", judge_clock(between - date if date else None, "Slack"))
        directory = SlackDirectory(workspace, self._clock, within_seconds=self._call_seconds)
        await asyncio.gather(
            *(
                sheet.fill(check, self._channel(workspace, variable, channel))
                for check, (variable, channel) in self._channels.items()
            ),
            sheet.fill("slack.approvers", self._approvers(directory)),
            *(
                sheet.fill("slack.usergroups", self._usergroups(directory))
                for _ in self._groups[:1]
            ),
        )

    async def _channel(self, workspace: Workspace, variable: str, channel: str) -> Judgement:
        self._need(variable)
        try:
            facts = await self._timely(channel_facts(workspace, channel))
        except SlackFault as fault:
            if fault.error in GONE:
                return failure(
                    f"mailcfg sees no channel {channel}.",
                    f"Check the id in {variable}; in a private channel, type /invite @mailcfg.",
                )
            raise
        return judge_channel(facts, variable)

    async def _approvers(self, directory: SlackDirectory) -> Judgement:
        self._need("MAILCFG_APPROVERS")
        if self._settings.policy.watch_only:
            return ok("This deployment only watches: nobody needs to approve.")
        try:
            said = await Approvers(self._settings.policy, directory).check_settings()
        except GroupTrouble as trouble:
            raise SettingsError([trouble.cure]) from trouble
        except CouldNotCheck as trouble:
            raise TimeoutError from trouble
        return judge_approvers(said, self._settings)

    async def _usergroups(self, directory: SlackDirectory) -> Judgement:
        counted = []
        for group in self._groups:
            try:
                counted.append((group, len(await directory.named(group))))
            except GroupTrouble as trouble:
                return failure(f"MAILCFG_APPROVERS has the group {group}: {trouble.cure}")
            except CouldNotCheck as trouble:
                raise TimeoutError from trouble
        return judge_groups(counted)

    async def _timely(self, work: Awaitable[Any]) -> Any:
        async with asyncio.timeout(self._call_seconds):
            return await work

    def _need(self, *variables: str) -> None:
        for variable in variables:
            if variable in self._found.wrong:
                raise NotChecked(f"{variable} has no right value")


def _channels(settings: Settings) -> Iterator[tuple[str, tuple[str, str]]]:
    yield "slack.approval_channel", ("MAILCFG_APPROVAL_CHANNEL", settings.channels.approval)
    yield "slack.alert_channel", ("MAILCFG_ALERT_CHANNEL", settings.channels.alert)
    if settings.channels.fallback:
        yield "slack.fallback_channel", ("MAILCFG_FALLBACK_CHANNEL", settings.channels.fallback)


def judge_scopes(us: Introduction, *, has_groups: bool) -> Judgement:
    """What was granted against what the manifest asks for."""
    if us.scopes is None:
        return warning("Slack's answer does not say which scopes the bot token has.")
    missing = {*SCOPES, *(GROUP_SCOPES if has_groups else {})} - us.scopes
    if missing - ONLY_FOR_DOCTOR:
        return failure(f"The bot token lacks {_listed(missing)}.", REINSTALL)
    if missing:
        return warning(
            f"The bot token lacks {_listed(missing)}, which only `mailcfg doctor` needs.", REINSTALL
        )
    surplus = us.scopes - {*SCOPES, *GROUP_SCOPES}
    if surplus:
        return warning(
            f"The bot token may do more than mailcfg needs: {_listed(surplus)}.", REINSTALL
        )
    return ok(f"Granted as the manifest asks: {_listed(us.scopes)}.")


def judge_channel(facts: ChannelFacts, variable: str) -> Judgement:
    name = f"#{facts.name}"
    if facts.is_archived:
        return failure(
            f"{name} is archived.", f"Unarchive it, or name another channel in {variable}."
        )
    if not facts.is_member:
        return failure(f"mailcfg is not in {name}.", f"Type /invite @mailcfg in {name}.")
    if facts.is_shared_outside:
        return warning(
            f"{name} is shared with another company, which reads what mailcfg posts there.",
            f"Name a channel of your own in {variable}.",
        )
    return ok(f"mailcfg is in {name}.")


def judge_approvers(warnings: Sequence[str], settings: Settings) -> Judgement:
    """`warnings` are what `mailcfg run` would say of them at its start."""
    if warnings:
        return warning(" ".join(warnings), "Add approvers, or take out who is gone.")
    needed = settings.policy.quorum(is_sensitive=True)
    return ok(
        f"Enough people may approve: a change can need {needed}, besides whoever asks for it."
    )


def judge_groups(counted: Sequence[tuple[str, int]]) -> Judgement:
    empty = [group for group, members in counted if members == 0]
    if empty:
        return warning(
            f"Nobody is in {_listed(empty)}.", "Add members in Slack, or take it out of the list."
        )
    told = (f"{group} has {members}" for group, members in counted)
    return ok(f"Members can be read: {', '.join(told)}.")


def _listed(words: Any) -> str:
    return ", ".join(sorted(words))
