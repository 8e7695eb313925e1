"""Settings: what is missing or impossible is said in one line each, with the cure."""

from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot import settings
from bot.domain.alert import Parameters
from bot.domain.organisation import Channels
from bot.domain.policy import Policy
from bot.domain.reminders import QuietHours, Reminders
from bot.errors import SettingsError

GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "ZOHO_CLIENT_ID": "1000.A",
    "ZOHO_CLIENT_SECRET": "s",
    "ZOHO_REFRESH_TOKEN": "1000.b.c",
    "MAILCFG_SECRET_KEY": "k" * 32,
    "MAILCFG_APPROVERS": "U0BOB, U0CAROL",
    "MAILCFG_APPROVAL_CHANNEL": "C0ADMIN",
    "MAILCFG_ALERT_CHANNEL": "C0ALERTS",
}


def faults(**changes: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        settings.from_values(GOOD | changes)
    return list(refused.value.faults)


def test_the_least_that_is_needed_is_enough():
    found = settings.from_values(GOOD)
    assert found.policy.approvers == ("U0BOB", "U0CAROL")
    assert found.check_every == timedelta(minutes=15)
    assert found.listen == ("127.0.0.1", 3000)


def test_every_missing_setting_has_its_line():
    with pytest.raises(SettingsError) as refused:
        settings.from_values({})
    assert [line.split()[0] for line in refused.value.faults] == [
        "SLACK_BOT_TOKEN",
        "ZOHO_CLIENT_ID",
        "ZOHO_CLIENT_SECRET",
        "MAILCFG_SECRET_KEY",
        "MAILCFG_APPROVAL_CHANNEL",
        "MAILCFG_ALERT_CHANNEL",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "SLACK_BOT_TOKEN",
            "xapp-1",
            "SLACK_BOT_TOKEN is no bot token: it must start with xoxb-.",
        ),
        (
            "SLACK_APP_TOKEN",
            "xoxb-1",
            "SLACK_APP_TOKEN is no app-level token: it must start with xapp-. Leave it out for "
            "signed HTTP.",
        ),
        (
            "MAILCFG_APPROVAL_CHANNEL",
            "#mail-admin",
            "MAILCFG_APPROVAL_CHANNEL is `#mail-admin`: give the channel's id (C…), not its name. "
            "Slack shows it at the foot of the channel's details.",
        ),
        (
            "CLIQ_API_URL",
            "http://cliq.example.com",
            "CLIQ_API_URL is `http://cliq.example.com`: it must start with https:// (http:// is "
            "for this machine only), or tokens would travel in the open.",
        ),
        (
            "SLACK_API_URL",
            "http://127.0.0.1.evil.example/api/",
            "SLACK_API_URL is `http://127.0.0.1.evil.example/api/`: it must start with https:// "
            "(http:// is for this machine only), or tokens would travel in the open.",
        ),
        (
            "ZOHO_ACCOUNTS_URL",
            "https://[",
            "ZOHO_ACCOUNTS_URL is `https://[`, which is no address: write it as https://host or "
            "https://host:443.",
        ),
        (
            "CLIQ_API_URL",
            "https://cliq.zoho.com:99999",
            "CLIQ_API_URL is `https://cliq.zoho.com:99999`, which is no address: write it as "
            "https://host or https://host:443.",
        ),
        (
            "MAILCFG_APPROVERS",
            "bob,U0CAROL",
            "MAILCFG_APPROVERS has `bob`, which is no Slack user id (U…) or usergroup id (S…). "
            "Everybody sees their own id in `/mailcfg help`.",
        ),
        (
            "MAILCFG_REQUESTERS",
            "S0GROUP",
            "MAILCFG_REQUESTERS has `S0GROUP`, which is no Slack user id (U…). Everybody sees their "
            "own id in `/mailcfg help`.",
        ),
        (
            "MAILCFG_APPROVERS",
            "U0BOB",
            "MAILCFG_APPROVERS has 1, but a change can need 2 approvals: add approvers, or lower "
            "MAILCFG_APPROVALS_SENSITIVE.",
        ),
        (
            "MAILCFG_APPROVERS",
            "",
            "MAILCFG_APPROVERS is missing: list the Slack user ids of those who may approve, or "
            "set MAILCFG_WATCH_ONLY=true.",
        ),
        (
            "MAILCFG_APPROVALS",
            "0",
            "MAILCFG_APPROVALS must be 1 or more: nothing is changed without a second person.",
        ),
        (
            "MAILCFG_SECRET_KEY",
            "short",
            "MAILCFG_SECRET_KEY is too short: it needs 32 characters or more. `mailcfg init` makes "
            "one.",
        ),
        (
            "MAILCFG_DATABASE_URL",
            "mysql://x",
            "MAILCFG_DATABASE_URL must start with sqlite+aiosqlite:///, followed by a file name, "
            "or with postgresql+psycopg://.",
        ),
        (
            "MAILCFG_CHECK_EVERY",
            "15 x",
            "MAILCFG_CHECK_EVERY is wrong: `15 x` is no duration; write it like 500ms, 90s, 15m or "
            "24h. Time between two checks.",
        ),
        (
            "MAILCFG_APPLY_WITHIN",
            "500ms",
            "MAILCFG_APPLY_WITHIN is wrong: `500ms` has a part of a second; write it like 90s, 15m "
            "or 24h. How long after approval it may still be applied.",
        ),
        (
            "MAILCFG_DNS_SERVERS",
            "ns1.acme.example",
            "MAILCFG_DNS_SERVERS is wrong: `ns1.acme.example` is no server; write it like "
            "192.0.2.53 or 192.0.2.53:5353. Resolvers, ip:port, comma-separated. Empty: the "
            "system's.",
        ),
        (
            "MAILCFG_FALLBACK_CHANNEL",
            "#mail",
            "MAILCFG_FALLBACK_CHANNEL is `#mail`: give the channel's id (C…), not its name. "
            "Slack shows it at the foot of the channel's details.",
        ),
        (
            "MAILCFG_NOTIFY",
            "@here,S0ADMINS",
            "MAILCFG_NOTIFY has `@here`, which is no id of a Slack user (U…) or group (S…).",
        ),
        (
            "MAILCFG_ESCALATE_TO",
            "dana",
            "MAILCFG_ESCALATE_TO has `dana`, which is no id of a Slack user (U…) or group (S…).",
        ),
        (
            "MAILCFG_REMIND_AFTER",
            "1h,soon",
            "MAILCFG_REMIND_AFTER is wrong: `soon` is no duration; write it like 500ms, 90s, 15m "
            "or 24h. How long after it was asked a waiting request is remembered in its thread, "
            "comma-separated; or never.",
        ),
        (
            "MAILCFG_QUIET_HOURS",
            "22-7",
            "MAILCFG_QUIET_HOURS is wrong: `22-7` is no part of a day; write it like 22:00-07:00 "
            "Europe/Berlin. When nobody is reminded, such as 22:00-07:00 Europe/Berlin; deadlines "
            "stay as they are.",
        ),
        (
            "MAILCFG_QUIET_HOURS",
            "25:00-07:00 UTC",
            "MAILCFG_QUIET_HOURS is wrong: `25:00-07:00 UTC` is no part of a day; write it like "
            "22:00-07:00 Europe/Berlin. When nobody is reminded, such as 22:00-07:00 "
            "Europe/Berlin; deadlines stay as they are.",
        ),
        (
            "MAILCFG_QUIET_HOURS",
            "22:00-07:00 Europe/Berln",
            "MAILCFG_QUIET_HOURS is wrong: `Europe/Berln` is no time zone; write it like "
            "Europe/Berlin or UTC. When nobody is reminded, such as 22:00-07:00 Europe/Berlin; "
            "deadlines stay as they are.",
        ),
        (
            "MAILCFG_QUIET_HOURS",
            "07:00-07:00 UTC",
            "MAILCFG_QUIET_HOURS is wrong: `07:00-07:00 UTC` begins when it ends; write it like "
            "22:00-07:00 Europe/Berlin. When nobody is reminded, such as 22:00-07:00 "
            "Europe/Berlin; deadlines stay as they are.",
        ),
        (
            "MAILCFG_LISTEN",
            "3000",
            "MAILCFG_LISTEN is wrong: `3000` is no host:port; write it like 127.0.0.1:3000. "
            "host:port for health checks and for Slack over HTTP.",
        ),
    ],
)
def test_an_impossible_value_is_named_with_its_cure(variable: str, value: str, sentence: str):
    assert faults(**{variable: value}) == [sentence]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("90s", timedelta(seconds=90)),
        ("15 m", timedelta(minutes=15)),
        ("24H", timedelta(hours=24)),
        ("2d", timedelta(days=2)),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text: str, span: timedelta):
    assert settings.from_values(GOOD | {"MAILCFG_CHECK_EVERY": text}).check_every == span


def test_what_is_not_said_is_as_the_domain_has_it():
    found = settings.from_values(GOOD)
    approvers = ("U0BOB", "U0CAROL")
    assert (found.alerts, found.reminders) == (Parameters(), Reminders())
    assert (found.policy, found.policy.approvers) == (Policy(approvers), approvers)
    assert found.channels == Channels("C0ADMIN", "C0ALERTS")


def test_there_are_thirty_six_settings():
    assert len(settings.variables()) == 36
    assert not set(settings.variables()) & set(settings.GONE)


def test_a_setting_of_an_earlier_version_is_named_as_no_longer_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAILCFG_LEASE", "1s")
    (tmp_path / "env").write_text("MAILCFG_SENDS=0\n")
    (tmp_path / "mailcfg_quiet").write_text("often")

    assert settings.load(tmp_path / "env", tmp_path).warnings() == [
        "MAILCFG_QUIET is no longer used: take it out.",
        "MAILCFG_LEASE is no longer used: take it out.",
        "MAILCFG_SENDS is no longer used: take it out.",
    ]


def test_reminders_are_a_list_or_never():
    values = {"MAILCFG_REMIND_AFTER": "30m, 2h", "MAILCFG_REMIND_BEFORE": "never"}
    given = settings.from_values(GOOD | values)
    assert given.reminders.after == (timedelta(minutes=30), timedelta(hours=2))
    assert given.reminders.before is None
    assert settings.from_values(GOOD | {"MAILCFG_REMIND_AFTER": "never"}).reminders.after == ()


def test_quiet_hours_are_a_part_of_the_day_somewhere():
    given = settings.from_values(GOOD | {"MAILCFG_QUIET_HOURS": "22:00-7:00 Europe/Berlin"})
    assert given.reminders.quiet == QuietHours(time(22), time(7), ZoneInfo("Europe/Berlin"))


def test_without_a_way_for_slack_to_reach_the_bot_it_does_not_start():
    values = {name: value for name, value in GOOD.items() if name != "SLACK_APP_TOKEN"}
    with pytest.raises(SettingsError, match="SLACK_APP_TOKEN or SLACK_SIGNING_SECRET is missing"):
        settings.from_values(values)


def test_how_many_are_in_a_group_of_approvers_is_not_for_the_settings_to_say():
    assert settings.from_values(GOOD | {"MAILCFG_APPROVERS": "S0MAIL"}).policy.approvers == (
        "S0MAIL",
    )


def test_watching_only_needs_no_approvers():
    found = settings.from_values(GOOD | {"MAILCFG_APPROVERS": "", "MAILCFG_WATCH_ONLY": "true"})
    assert found.policy.watch_only


def test_values_come_from_the_environment_then_a_file_then_a_directory_of_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in GOOD.items():
        monkeypatch.delenv(name, raising=False)
        (tmp_path / name.lower()).write_text(value)
    dotenv = tmp_path / "env"
    dotenv.write_text("MAILCFG_LABEL=from the file\nMAILCFG_ORG=file\n")
    monkeypatch.setenv("MAILCFG_ORG", "environment")

    found = settings.load(dotenv, tmp_path)

    assert (found.org, found.label) == ("environment", "from the file")
    assert found.slack_bot_token.get_secret_value() == "xoxb-1"


def test_no_secret_is_in_a_fault_or_in_the_printed_settings():
    canary = "canary-4711"
    shown = repr(settings.from_values(GOOD | {"ZOHO_CLIENT_SECRET": canary}))
    told = "\n".join(faults(SLACK_BOT_TOKEN=canary, MAILCFG_SECRET_KEY=canary))
    assert canary not in shown + told


def test_the_template_is_a_file_that_starts_once_it_is_filled_in(tmp_path: Path):
    text = settings.template()
    for name, value in GOOD.items():
        if name != "MAILCFG_SECRET_KEY":
            text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    file = tmp_path / ".env"
    file.write_text(text)
    assert settings.load(file, tmp_path / "none").policy.approvers == ("U0BOB", "U0CAROL")


def test_a_command_that_reads_the_database_needs_no_other_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MAILCFG_DATABASE_URL", "sqlite+aiosqlite:///other.db")
    found = settings.load_storage(tmp_path / "none")
    assert (found.database_url, found.org, found.secret_key) == (
        "sqlite+aiosqlite:///other.db",
        "default",
        (),
    )


def test_partly_wrong_settings_are_used_as_far_as_they_are_right():
    found = settings.partly_from_values(
        GOOD | {"MAILCFG_CHECK_EVERY": "often", "MAILCFG_ALERT_CHANNEL": "#alerts"}
    )
    assert found.wrong == {"MAILCFG_CHECK_EVERY", "MAILCFG_ALERT_CHANNEL"}
    assert [fault.split()[0] for fault in found.faults] == [
        "MAILCFG_CHECK_EVERY",
        "MAILCFG_ALERT_CHANNEL",
    ]
    assert found.settings.check_every == timedelta(minutes=15)
    assert found.settings.policy.approvers == ("U0BOB", "U0CAROL")


def test_without_any_settings_each_missing_one_is_told_once():
    found = settings.partly_from_values({})
    assert [fault.split()[0] for fault in found.faults] == [
        "SLACK_BOT_TOKEN",
        "ZOHO_CLIENT_ID",
        "ZOHO_CLIENT_SECRET",
        "MAILCFG_SECRET_KEY",
        "MAILCFG_APPROVAL_CHANNEL",
        "MAILCFG_ALERT_CHANNEL",
        "SLACK_APP_TOKEN",
        "MAILCFG_APPROVERS",
    ]


def test_sound_settings_are_wholly_right():
    found = settings.partly_from_values(GOOD)
    assert (found.faults, found.wrong) == ((), frozenset())
