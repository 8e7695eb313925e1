"""What an examination makes of each answer: every judge is a pure function, tried on each kind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from bot import settings
from bot.adapters.dns.reachability import Reach, ZoneReach
from bot.adapters.slack.inspection import ChannelFacts, Introduction
from bot.adapters.slack.manifest import GROUP_SCOPES, SCOPES
from bot.adapters.slack.workspace import SlackFault
from bot.adapters.store.inspection import DatabaseFacts, Engine
from bot.adapters.store.version import Tables
from bot.doctor import database, dns, record, slack, zoho
from bot.doctor.clocks import judge_clock
from bot.doctor.findings import (
    Finding,
    Judgement,
    Mark,
    as_dict,
    as_text,
    judge_trouble,
    worst,
)
from bot.domain.dns_answers import Status
from bot.domain.token import AccessToken
from bot.ports import BudgetStanding
from bot.services.audit import Verification
from tests.fakes import MORNING
from tests.test_settings import GOOD

OK, WARNING, FAILURE = Mark.OK, Mark.WARNING, Mark.FAILURE
READ, UPDATE, DELETE = (f"ZohoCliq.Organisation.{word}" for word in ("READ", "UPDATE", "DELETE"))


def told(judgement: Judgement) -> str:
    return f"{judgement.found} {judgement.cure}".strip()


@pytest.mark.parametrize(
    ("seconds", "mark", "words"),
    [
        (0, OK, "This machine's clock agrees with Slack's."),
        (-9, OK, "This machine's clock agrees with Slack's."),
        (10, WARNING, "This machine's clock is 10 s ahead of Slack's. Set it by NTP, for"),
        (-299, WARNING, "This machine's clock is 299 s behind Slack's."),
        (300, FAILURE, "This machine's clock is 300 s ahead of Slack's."),
        (None, WARNING, "Slack did not say what time it is, so the clock is not compared."),
    ],
)
def test_a_clock_that_is_wrong_is_said_with_how_far(seconds: int | None, mark: Mark, words: str):
    skew = None if seconds is None else timedelta(seconds=seconds)
    judged = judge_clock(skew, "Slack")
    assert judged.mark is mark
    assert told(judged).startswith(words)


@pytest.mark.parametrize(
    ("granted", "has_groups", "mark", "words"),
    [
        ({*SCOPES}, False, OK, "Granted as the manifest asks: channels:read, chat:write, commands"),
        ({*SCOPES, *GROUP_SCOPES}, False, OK, "Granted as the manifest asks"),
        ({*SCOPES}, True, FAILURE, "The bot token lacks usergroups:read. Paste `mailcfg manifest`"),
        ({*SCOPES} - {"chat:write"}, False, FAILURE, "The bot token lacks chat:write."),
        (
            {*SCOPES} - {"groups:read"},
            False,
            WARNING,
            "The bot token lacks groups:read, which only `mailcfg doctor` needs.",
        ),
        (
            {*SCOPES, "channels:history"},
            False,
            WARNING,
            "The bot token may do more than mailcfg needs: channels:history.",
        ),
        (None, False, WARNING, "Slack's answer does not say which scopes the bot token has."),
    ],
)
def test_slack_scopes_are_held_against_the_manifest(
    granted: set[str] | None, has_groups: bool, mark: Mark, words: str
):
    us = Introduction("Acme", "mailcfg", None if granted is None else frozenset(granted), None)
    judged = slack.judge_scopes(us, has_groups=has_groups)
    assert judged.mark is mark
    assert told(judged).startswith(words)


@pytest.mark.parametrize(
    ("facts", "mark", "words"),
    [
        ({}, OK, "mailcfg is in #mail."),
        (
            {"is_member": False},
            FAILURE,
            "mailcfg is not in #mail. Type /invite @mailcfg in #mail.",
        ),
        (
            {"is_archived": True, "is_member": False},
            FAILURE,
            "#mail is archived. Unarchive it, or name another channel in MAILCFG_X.",
        ),
        (
            {"is_shared_outside": True},
            WARNING,
            "#mail is shared with another company, which reads what mailcfg posts there. Name a "
            "channel of your own in MAILCFG_X.",
        ),
    ],
)
def test_a_channel_must_be_one_of_ours_that_mailcfg_is_in(
    facts: dict[str, bool], mark: Mark, words: str
):
    usual: dict[str, Any] = {"is_member": True, "is_archived": False, "is_shared_outside": False}
    judged = slack.judge_channel(ChannelFacts("mail", **usual | facts), "MAILCFG_X")
    assert (judged.mark, told(judged)) == (mark, words)


@pytest.mark.parametrize(
    ("counted", "mark", "words"),
    [
        ([("S1", 2), ("S2", 1)], OK, "Members can be read: S1 has 2, S2 has 1."),
        ([("S1", 2), ("S2", 0)], WARNING, "Nobody is in S2. Add members in Slack, or take it out"),
    ],
)
def test_a_usergroup_should_have_members(counted: list[tuple[str, int]], mark: Mark, words: str):
    judged = slack.judge_groups(counted)
    assert judged.mark is mark
    assert told(judged).startswith(words)


def test_what_run_would_warn_of_about_approvers_is_a_warning():
    found = settings.from_values(GOOD)
    assert slack.judge_approvers([], found).found == (
        "Enough people may approve: a change can need 2, besides whoever asks for it."
    )
    judged = slack.judge_approvers(["U0BOB is gone."], found)
    assert (judged.mark, judged.found) == (WARNING, "U0BOB is gone.")


@pytest.mark.parametrize(
    ("fault", "mark", "words"),
    [
        (
            SlackFault("conversations.info", "missing_scope"),
            WARNING,
            "The Slack app lacks the scope for conversations.info. Bring the app in line",
        ),
        (
            SlackFault("apps.connections.open", "ratelimited"),
            WARNING,
            "Slack was asked apps.connections.open too often. Try again in a minute.",
        ),
        (SlackFault("auth.test", "ClientError"), FAILURE, "Slack's auth.test failed: ClientError."),
        (TimeoutError(), FAILURE, "No answer in time. See whether this machine reaches it"),
        (ZeroDivisionError("secret"), FAILURE, "The check itself failed (ZeroDivisionError)."),
    ],
)
def test_trouble_is_told_with_the_cure(fault: Exception, mark: Mark, words: str):
    judged = judge_trouble(fault)
    assert judged.mark is mark
    assert told(judged).startswith(words)


SQLITE = DatabaseFacts(Engine.SQLITE, "mailcfg.db", Tables.CURRENT)
ON = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


@pytest.mark.parametrize(
    ("kind", "tables", "mark", "words"),
    [
        (Engine.SQLITE, Tables.CURRENT, OK, "mailcfg.db: the tables are current."),
        (
            Engine.SQLITE,
            Tables.MISSING,
            OK,
            "mailcfg.db: the tables are not there yet; `mailcfg run` makes them.",
        ),
        (
            Engine.SQLITE,
            Tables.OLDER,
            OK,
            "mailcfg.db: the tables are of an older version; `mailcfg run` upgrades them.",
        ),
        (
            Engine.SQLITE,
            Tables.UNKNOWN,
            FAILURE,
            "mailcfg.db: the tables are of a version that this",
        ),
        (
            Engine.POSTGRESQL,
            Tables.MISSING,
            FAILURE,
            "mailcfg.db: the tables are not there yet. Stop",
        ),
        (
            Engine.POSTGRESQL,
            Tables.OLDER,
            FAILURE,
            "mailcfg.db: the tables are of an older version.",
        ),
    ],
)
def test_tables_that_run_does_not_make_are_a_fault(
    kind: Engine, tables: Tables, mark: Mark, words: str
):
    judged = database.judge_tables(DatabaseFacts(kind, "mailcfg.db", tables))
    assert judged.mark is mark
    assert told(judged).startswith(words)


@pytest.mark.parametrize(
    ("kind", "refusal", "mark", "words"),
    [
        (Engine.SQLITE, "", OK, "It can be written; nothing was."),
        (
            Engine.SQLITE,
            "there is no folder /nowhere",
            FAILURE,
            "It cannot be written: there is no folder /nowhere. Make sure that its folder is there, "
            "that the user mailcfg runs as may write to it and to the file, and that no other "
            "program holds the file.",
        ),
        (
            Engine.POSTGRESQL,
            "cannot execute UPDATE in a read-only transaction",
            FAILURE,
            "It cannot be written: cannot execute UPDATE in a read-only transaction. Let the user of "
            "MAILCFG_DATABASE_URL write there; a standby cannot be used.",
        ),
    ],
)
def test_a_database_that_cannot_be_written_is_a_fault_with_the_cure_of_its_kind(
    kind: Engine, refusal: str, mark: Mark, words: str
):
    judged = database.judge_writable(DatabaseFacts(kind, "m.db", Tables.CURRENT, refusal))
    assert (judged.mark, told(judged)) == (mark, words)


@pytest.mark.parametrize(
    ("facts", "mark", "words"),
    [
        (SQLITE, OK, "On a local disk, written through at each commit"),
        (
            DatabaseFacts(Engine.SQLITE, "m.db", Tables.CURRENT, network="nfs4"),
            FAILURE,
            "m.db is on a network file system (nfs4), where SQLite is not safe. Put it on a local",
        ),
        (
            DatabaseFacts(Engine.POSTGRESQL, "p", Tables.CURRENT, durability=ON),
            OK,
            "What is committed survives a crash",
        ),
        (
            DatabaseFacts(
                Engine.POSTGRESQL,
                "p",
                Tables.CURRENT,
                durability=ON | {"synchronous_commit": "off"},
            ),
            WARNING,
            "A crash of the database server can lose approvals: synchronous_commit is off.",
        ),
        (
            DatabaseFacts(Engine.POSTGRESQL, "p", Tables.CURRENT, durability=ON | {"fsync": "off"}),
            WARNING,
            "A crash of the database server can lose approvals: fsync is off.",
        ),
    ],
)
def test_a_database_should_keep_what_was_committed(facts: DatabaseFacts, mark: Mark, words: str):
    judged = database.judge_durability(facts)
    assert judged.mark is mark
    assert told(judged).startswith(words)


@pytest.mark.parametrize(
    ("granted", "only_look", "mark", "words"),
    [
        ([READ, UPDATE, DELETE], False, OK, f"Granted: {DELETE}, {READ}, {UPDATE}."),
        (["ZohoCliq.Organisation.ALL"], False, OK, "Granted: ZohoCliq.Organisation.ALL."),
        ([READ], True, OK, f"Granted: {READ}."),
        (
            [READ, UPDATE],
            False,
            FAILURE,
            f"Zoho did not grant {DELETE}. Make a code in Zoho's API console and run `mailcfg connect "
            f"--code 1000.…` with {READ},{UPDATE},{DELETE}.",
        ),
        (None, False, WARNING, "Zoho does not say which scopes it granted"),
    ],
)
def test_zohos_scopes_must_allow_what_this_deployment_does(
    granted: list[str] | None, only_look: bool, mark: Mark, words: str
):
    scopes = None if granted is None else frozenset(granted)
    token = AccessToken(SecretStr("1000.a.b"), MORNING, scopes)
    judged = zoho.judge_scopes(token, only_look=only_look)
    assert judged.mark is mark
    assert told(judged).startswith(words)


@pytest.mark.parametrize(
    ("standing", "mark", "words"),
    [
        (BudgetStanding(3), OK, "3 of 19 calls are used in this minute."),
        (BudgetStanding(8), WARNING, "8 of 19 calls are used in this minute. Wait a minute."),
        (
            BudgetStanding(1, MORNING),
            WARNING,
            "Zoho has locked its API until 09:00 UTC; nothing is sent. Wait.",
        ),
    ],
)
def test_a_budget_that_is_used_up_or_locked_is_a_warning(
    standing: BudgetStanding, mark: Mark, words: str
):
    judged = zoho.judge_budget(standing)
    assert judged.mark is mark
    assert told(judged).startswith(words)


BOTH = Reach("10.0.0.1:53", Status.ANSWERED, Status.ANSWERED)
DEAF = Reach("10.0.0.2:53", Status.ANSWERED, Status.TIMED_OUT)
DEAD = Reach("10.0.0.3:53", Status.TIMED_OUT, Status.UNREACHABLE)


@pytest.mark.parametrize(
    ("judged", "mark", "words"),
    [
        (dns.judge_resolvers([BOTH]), OK, "All answer: 10.0.0.1:53."),
        (
            dns.judge_resolvers([BOTH, DEAD]),
            WARNING,
            "1 of 2 resolvers answer: 10.0.0.3:53 timed out. Mend it, or take it out of",
        ),
        (dns.judge_resolvers([DEAD]), FAILURE, "No resolver answers: 10.0.0.3:53 timed out. Name"),
        (dns.judge_resolvers([]), FAILURE, "No resolver answers: none is set on this machine."),
        (dns.judge_tcp([BOTH, DEAD]), OK, "TCP works, too."),
        (
            dns.judge_tcp([BOTH, DEAF]),
            WARNING,
            "No answer over TCP: 10.0.0.2:53. Long keys do not fit into every UDP answer. Let this",
        ),
        (dns.judge_tcp([DEAD]), WARNING, "Not checked: no server answers."),
        (dns.judge_zone(ZoneReach("a.example"), "x.a.example"), OK, "x.a.example is in the zone a"),
        (dns.judge_zone(ZoneReach(None), "x.example"), WARNING, "The zone of x.example was not"),
        (
            dns.judge_name_servers(ZoneReach("a.example", (BOTH,))),
            OK,
            "All servers of a.example answer: 10.0.0.1:53.",
        ),
        (
            dns.judge_name_servers(ZoneReach("a.example", (BOTH, DEAD))),
            WARNING,
            "1 of 2 servers of a.example answer: 10.0.0.3:53 timed out. Tell whoever runs",
        ),
    ],
)
def test_dns_is_judged_by_who_answers_over_what(judged: Judgement, mark: Mark, words: str):
    assert judged.mark is mark
    assert told(judged).startswith(words)


@pytest.mark.parametrize(
    ("result", "length", "mark", "words"),
    [
        (Verification(3, 1, "h"), 3, OK, "It holds (entries: 3, requests: 1)."),
        (Verification(0, 0, "h"), 0, OK, "Nothing is recorded yet."),
        (Verification(500, 0, "h"), 7000, OK, "The last 500 of 7000 entries hold; `mailcfg audit"),
        (Verification(3, 1, "h", "Entry 3 is missing."), 3, FAILURE, "Entry 3 is missing. Run"),
    ],
)
def test_a_broken_audit_is_a_fault_and_a_long_one_is_said_to_be_cut(
    result: Verification, length: int, mark: Mark, words: str
):
    judged = record.judge_chain(result, length)
    assert judged.mark is mark
    assert told(judged).startswith(words)


FINE = Finding("a.b", OK, "Fine.")
ODD = Finding("a.long_name", WARNING, "Odd.", "Mend it.")
BAD = Finding("c", FAILURE, "Bad.", "Replace it.")


@pytest.mark.parametrize(
    ("findings", "lines"),
    [
        ([FINE], ["✓ a.b  Fine.", "", "All ✓: this deployment is ready to run."]),
        (
            [FINE, ODD],
            [
                "✓ a.b          Fine.",
                "! a.long_name  Odd. Mend it.",
                "",
                "This works, with 1 warning.",
            ],
        ),
        (
            [ODD, ODD, BAD],
            [
                "! a.long_name  Odd. Mend it.",
                "! a.long_name  Odd. Mend it.",
                "✗ c            Bad. Replace it.",
                "",
                "This will not work: 1 fault, 2 warnings.",
            ],
        ),
    ],
)
def test_people_get_a_line_a_check_and_the_sum(findings: list[Finding], lines: list[str]):
    assert as_text(findings).split("\n") == lines


def test_machines_get_the_verdict_and_each_check():
    assert worst([FINE, ODD]) is WARNING
    assert as_dict([FINE, BAD]) == {
        "verdict": "failure",
        "checks": [
            {"check": "a.b", "mark": "ok", "found": "Fine.", "cure": ""},
            {"check": "c", "mark": "failure", "found": "Bad.", "cure": "Replace it."},
        ],
    }
