"""The parts that a bot consists of, made from its settings and joined; nothing is started here."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import httpx

from bot.adapters.cliq.client import CliqClient
from bot.adapters.cliq.throttle import Budget
from bot.adapters.dns.resolver import DnsResolver
from bot.adapters.metrics import Metrics
from bot.adapters.slack.cards.parts import Deployment
from bot.adapters.slack.directory import SlackDirectory
from bot.adapters.slack.listeners import Listeners
from bot.adapters.slack.notifier import Notifier
from bot.adapters.slack.workspace import Workspace
from bot.adapters.store.shared import shared_budget
from bot.adapters.store.sql import SqlStore
from bot.domain.alert import Parameters
from bot.domain.change import Seal
from bot.domain.policy import Policy
from bot.domain.reminders import Reminders
from bot.ports import Clock
from bot.services.admission import Admission
from bot.services.alerts import Alerts
from bot.services.apply import Applier, Timing
from bot.services.audit import DailyHead
from bot.services.changes import Changes
from bot.services.check import Check
from bot.services.look import Look
from bot.services.watch import Watch
from bot.settings import Settings
from bot.zoho import cliq_client, shared_token_of


@dataclass(frozen=True)
class Parts:
    """What a bot consists of, for whoever wants to look at one."""

    store: SqlStore
    api: CliqClient
    budget: Budget
    workspace: Workspace
    directory: SlackDirectory
    admission: Admission
    changes: Changes
    applier: Applier
    watch: Watch
    daily_head: DailyHead
    notifier: Notifier
    listeners: Listeners
    metrics: Metrics


def assemble(
    settings: Settings,
    clock: Clock,
    store: SqlStore,
    workspace: Workspace,
    http: httpx.AsyncClient,
    metrics: Metrics,
) -> Parts:
    budget = Budget(clock, shared_budget(store, settings.org), call_timeout=settings.call_timeout)
    tokens = shared_token_of(settings, store)
    api = cliq_client(settings, clock, http, budget=budget, tokens=tokens)
    resolver = DnsResolver(
        resolvers=settings.dns_servers,
        authoritative=settings.dns_authoritative,
        clock=clock,
    )
    policy = policy_of(settings)
    deployment = Deployment(
        settings.org,
        settings.label,
        settings.zoho_data_center,
        notify=settings.notify,
        escalate_to=settings.escalate_to,
        policy=policy,
    )
    shared: dict[str, Any] = {"org": settings.org, "store": store, "api": api}
    directory = SlackDirectory(workspace, clock, kept=settings.membership_cache)
    admission = Admission(
        org=settings.org, policy=policy, store=store, directory=directory, clock=clock
    )
    seal = Seal(tuple(key.get_secret_value().encode() for key in settings.secret_key))
    changes = Changes(
        **shared,
        resolver=resolver,
        policy=policy,
        approval_channel=settings.approval_channel,
        admission=admission,
        clock=clock,
        seal=seal,
        new_id=new_id,
        reminders=reminders_of(settings),
        alarm_after=settings.alarm_after,
    )
    notifier = Notifier(
        workspace=workspace,
        store=store,
        clock=clock,
        deployment=deployment,
        alert_channel=settings.alert_channel,
        lease=settings.lease,
        fallbacks=settings.fallbacks,
        pace=settings.slack_pace,
        quiet=settings.quiet_hours,
    )
    look = Look(
        **shared, policy=policy, resolver=resolver, directory=directory, admission=admission
    )
    watch = Watch(
        **shared,
        every=settings.check_every,
        alert_channel=settings.alert_channel,
        resolver=resolver,
        clock=clock,
        new_id=new_id,
        parameters=alert_parameters_of(settings),
    )
    alerts = Alerts(
        org=settings.org,
        policy=policy,
        admission=admission,
        store=store,
        clock=clock,
        watch=watch,
    )
    return Parts(
        store=store,
        api=api,
        budget=budget,
        workspace=workspace,
        directory=directory,
        admission=admission,
        changes=changes,
        applier=Applier(
            **shared,
            policy=policy,
            directory=directory,
            clock=clock,
            seal=seal,
            timing=timing_of(settings),
        ),
        watch=watch,
        daily_head=DailyHead(org=settings.org, store=store, clock=clock),
        notifier=notifier,
        listeners=Listeners(
            workspace=workspace,
            admission=admission,
            changes=changes,
            look=look,
            checks=Check(look, watch),
            alerts=alerts,
            notifier=notifier,
            deployment=deployment,
            commit_budget=settings.commit_budget,
        ),
        metrics=metrics,
    )


def timing_of(settings: Settings) -> Timing:
    return Timing(
        call_timeout=settings.call_timeout,
        quiet=settings.quiet,
        margin=settings.margin,
        lease=settings.lease,
        retry=settings.retry,
        give_up=settings.give_up,
        sends=settings.sends,
    )


def alert_parameters_of(settings: Settings) -> Parameters:
    return Parameters(
        confirm_bad=settings.confirm_bad,
        confirm_window=settings.confirm_window,
        resolve_after=settings.resolve_after,
        remind_every=settings.remind_every,
        unknown_after=settings.unknown_after,
        pending_grace=settings.pending_grace,
        propagation_grace=settings.propagation_grace,
        publish_grace=settings.publish_grace,
        flap_opens=settings.flap_opens,
        flap_window=settings.flap_window,
        flap_quiet=settings.flap_quiet,
    )


def reminders_of(settings: Settings) -> Reminders:
    return Reminders(
        after=settings.remind_after, before=settings.remind_before, quiet=settings.quiet_hours
    )


def policy_of(settings: Settings) -> Policy:
    return Policy(
        approvers=settings.approvers,
        requesters=settings.requesters,
        approvals=settings.approvals,
        approvals_sensitive=settings.approvals_sensitive,
        approval_deadline=settings.approval_deadline,
        apply_within=settings.apply_within,
        watch_only=settings.watch_only,
    )


def new_id() -> str:
    """An id that cannot be guessed: 144 random bits."""
    return secrets.token_urlsafe(18)
