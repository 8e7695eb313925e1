"""What all servers together say about a key."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.verdict import RecordKind, judge
from tests.fakes import config, dkim_value

LIVE = config(bits=2048)
VALUE = LIVE.dkim_value


def reply(server: str, *texts: str, status: Status = Status.ANSWERED) -> Reply:
    return Reply(
        server, LIVE.dkim_host, status, texts, is_authoritative=server.startswith("ns"), ttl=300
    )


def answers(*replies: Reply, wildcard: Reply | None = None) -> Answers:
    return Answers(
        host=LIVE.dkim_host,
        at=datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
        authoritative=tuple(r for r in replies if r.is_authoritative),
        resolvers=tuple(r for r in replies if not r.is_authoritative),
        wildcard=wildcard,
    )


def test_a_wildcard_that_gives_the_right_record_is_right_and_noted():
    verdict = judge(answers(reply("ns1", VALUE), wildcard=reply("ns1", VALUE)), VALUE)

    assert verdict.kind is RecordKind.RIGHT
    assert verdict.truth[0].is_wildcard


def test_a_wildcard_that_gives_anything_else_leaves_the_host_missing():
    verdict = judge(answers(reply("ns1", "parked"), wildcard=reply("ns1", "parked")), VALUE)

    assert verdict.kind is RecordKind.MISSING


def test_a_wildcard_beside_an_own_record_takes_nothing_from_it():
    verdict = judge(answers(reply("ns1", "own"), wildcard=reply("ns1", "parked")), VALUE)

    assert verdict.kind is RecordKind.MALFORMED


def test_caches_count_only_once_the_truth_is_right():
    other = f"k=rsa; p={dkim_value(2048, 1).partition('p=')[2]}"

    wrong = judge(answers(reply("ns1", other), reply("r1", VALUE)), VALUE)
    right = judge(answers(reply("ns1", VALUE), reply("r1", other)), VALUE)

    assert (wrong.kind, wrong.stale) == (RecordKind.OTHER_KEY, ())
    assert [holding.reply.server for holding in right.stale] == ["r1"]
    assert not right.is_right_everywhere


def test_resolvers_that_decide_may_disagree_and_then_nothing_is_claimed():
    silent = reply("ns1", status=Status.TIMED_OUT)

    verdict = judge(answers(silent, reply("r1", VALUE), reply("r2")), VALUE)

    assert verdict.kind is None
    assert [holding.reply.server for holding in verdict.stale] == ["r2"]
