"""One organisation, and the maker of all that serves it; nothing is started here."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import httpx

from bot.adapters.cliq.client import CliqClient, Tries
from bot.adapters.cliq.throttle import Budget
from bot.adapters.dns.resolver import DnsResolver
from bot.adapters.metrics import Metrics
from bot.adapters.slack.directory import SlackDirectory
from bot.adapters.slack.listeners import Listeners
from bot.adapters.slack.notifier import Notifier
from bot.adapters.slack.workspace import Workspace
from bot.adapters.store.shared import shared_budget
from bot.adapters.store.sql import SqlStore
from bot.domain.change import Seal
from bot.domain.organisation import Organisation
from bot.domain.timing import Timing
from bot.ports import Clock, FarEnds
from bot.services.serving import Services
from bot.settings import Settings
from bot.zoho import cliq_client, shared_token_of


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the organisations of one process have in common."""

    store: SqlStore
    clock: Clock
    http: httpx.AsyncClient
    workspace: Workspace
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Served:
    """An organisation with all that serves it."""

    organisation: Organisation
    api: CliqClient
    budget: Budget
    directory: SlackDirectory
    services: Services
    notifier: Notifier
    listeners: Listeners


def serve(organisation: Organisation, settings: Settings, deployment: Deployment) -> Served:
    """`settings` say how its Zoho and DNS are reached. Raises SettingsError for a wrong address."""
    store, clock, workspace = deployment.store, deployment.clock, deployment.workspace
    timeout = organisation.timing.call_timeout
    budget = Budget(clock, shared_budget(store, organisation.id), call_timeout=timeout)
    api = cliq_client(
        settings,
        clock,
        deployment.http,
        budget=budget,
        tokens=shared_token_of(settings, store),
        tries=Tries(timeout.total_seconds()),
    )
    resolver = DnsResolver(settings.dns_servers, settings.dns_authoritative, clock)
    directory = SlackDirectory(workspace, clock)
    services = Services.of(organisation, store, FarEnds(api), resolver, directory, clock, new_id)
    notifier = Notifier(organisation, workspace, store, clock)
    listeners = Listeners(organisation, workspace, services, notifier)
    return Served(organisation, api, budget, directory, services, notifier, listeners)


def organisation_of(settings: Settings, timing: Timing) -> Organisation:
    return Organisation(
        id=settings.org,
        channels=settings.channels,
        policy=settings.policy,
        seal=Seal(tuple(key.get_secret_value().encode() for key in settings.secret_key)),
        label=settings.label,
        data_center=settings.zoho_data_center,
        reminders=settings.reminders,
        alerts=settings.alerts,
        check_every=settings.check_every,
        timing=timing,
    )


def new_id() -> str:
    """An id that cannot be guessed: 144 random bits."""
    return secrets.token_urlsafe(18)
