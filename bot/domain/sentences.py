"""What is said about each finding: one sentence what, one what to do, then what was seen where.

Plain text without markup: whoever shows it escapes it. What comes from outside (names, records, API
texts) is cut and freed of control characters here. A record is marked by its fingerprint and length,
never by its full text; the record to publish is shown by `report`, which knows when it may be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain import dkim
from bot.domain.case import BITS_GOOD, SYSTEM_SENDER, Case, plain
from bot.domain.dkim import Damage, Record
from bot.domain.dns_answers import Reply, Status
from bot.domain.key_host import is_within
from bot.domain.mail_config import FIELDS
from bot.domain.verdict import Holding, Outage, RecordKind, kind_of

OUTSIDE = "Changed outside approval"
UNKNOWN = "DKIM could not be checked"
UNREADABLE = "unreadable"
RECORDS_SHOWN = 3
START_MAX = 24
VALUE_MAX = 200


@dataclass(frozen=True, slots=True)
class Words:
    """One thing that is so, what to do about it ("" for nothing), and what was seen.

    `heading` is what an alert is headed by while it is the gravest.
    """

    heading: str
    sentence: str
    fix: str
    evidence: tuple[str, ...] = ()


def api_invalid(case: Case) -> Words:
    return Words(
        "Zoho's DKIM data is unusable",
        f"Zoho's own DKIM data is unusable: {case.api_problem}.",
        "Set the sender again in Zoho (this needs approval), then check again.",
    )


def dns_broken(case: Case) -> Words:
    assert case.verdict is not None
    outage = case.verdict.outage
    assert outage is not None
    is_right = bool(case.verdict.truth) and {h.kind for h in case.verdict.truth} == {
        RecordKind.RIGHT
    }
    record = (
        "The TXT record is right; leave it alone." if is_right else "Leave the TXT record alone."
    )
    todo = {
        Outage.LAME: "Correct the NS records at the registrar.",
        Outage.DNSSEC: "Fix or remove the DS record at the registrar.",
        Outage.GONE: "Renew the domain at the registrar.",
    }[outage]
    return Words(
        "DKIM broken: the domain cannot be resolved",
        f"Nobody can resolve {_zone(case)}: {outage}.",
        f"{todo} {record}",
        seen(case),
    )


def cname_broken(case: Case) -> Words:
    reply = _first(case).reply
    target = plain(reply.aliases[0])
    apex = case.answers.apex if case.answers else None
    what = "and the aliases never end" if reply.status is Status.LOOP else "which has no key"
    hint = ""
    if apex and is_within(reply.aliases[0].lower(), apex):
        hint = " The target ends in your own zone: probably its final dot is missing."
    todo = f"Delete the CNAME record at {case.host} and publish Zoho's TXT record there, or correct the target."
    return Words(
        "DKIM broken: an alias that leads to no key",
        f"{case.host} is an alias to {target}, {what}.{hint}",
        _publish(case, todo),
        seen(case),
    )


def multiple(case: Case) -> Words:
    texts = _first(case).reply.texts
    heading = f"DKIM {'at risk' if case.is_harmless_multiple else 'broken'}: more than one record"
    what = f"{case.host} has {len(texts)} TXT records; some receivers pick the wrong one."
    return Words(
        heading, what, _publish(case, _which_to_delete(texts, case.sender.dkim_value)), seen(case)
    )


def _which_to_delete(texts: tuple[str, ...], value: str) -> str:
    good = [text for text in texts if kind_of(text, value) is RecordKind.RIGHT]
    if not good and _are_halves(texts, value):
        return "The two records are halves of one key: make them one record with two strings."
    if not good:
        return "Delete all of them and publish Zoho's TXT record alone."
    rest = [text for text in texts if text not in good]
    kept = f"keep the one with `p={dkim.public_key(good[0])[:4]}…` (fingerprint {_mark(good[0])})"
    if len(rest) == 1 and _mark(rest[0]) != UNREADABLE:
        return f"Delete the record with the other key ({_mark(rest[0])}); {kept}."
    if len(rest) == 1:
        return f"Delete the record that starts `{_start(rest[0])}`; {kept}."
    return f"Delete all but one; {kept}."


def _are_halves(texts: tuple[str, ...], value: str) -> bool:
    if len(texts) != 2:
        return False
    joined = {dkim.public_key(texts[0] + texts[1]), dkim.public_key(texts[1] + texts[0])}
    return dkim.public_key(value) in joined


def revoked(case: Case) -> Words:
    return _replace(
        case,
        "DKIM broken: the published key is revoked",
        "The published key is marked revoked (empty p=).",
    )


def truncated(case: Case) -> Words:
    published, whole = dkim.public_key(_text(case)), dkim.public_key(case.sender.dkim_value)
    return _replace(
        case,
        "DKIM broken: the published key is cut off",
        f"Only {len(published)} of {len(whole)} key characters are published; the rest was cut.",
        " Use the split form if the panel cuts long values.",
    )


def malformed(case: Case) -> Words:
    text = _text(case)
    record = dkim.read(text)
    damage = record if isinstance(record, Damage) else dkim.key_damage(record)
    what = f"The value at {case.host} is damaged: {plain(str(damage), VALUE_MAX)}."
    if dkim.lenient_key(text) == dkim.lenient_key(case.sender.dkim_value):
        what += " Some receivers reject it, where lenient ones do not."
    return _replace(
        case, "DKIM broken: the record is damaged", what, " Type no quotation marks or backslashes."
    )


def key_mismatch(case: Case) -> Words:
    return _replace(
        case,
        "DKIM broken: another key is published",
        f"{case.host} holds another key ({_mark(_text(case))}) than Zoho signs with "
        f"({_mark(case.sender.dkim_value)}).",
    )


def tag_conflict(case: Case) -> Words:
    record = dkim.read(_text(case))
    assert not isinstance(record, Damage)
    tag = dkim.conflicting_tag(record, case.sender.dkim_value) or "a tag"
    name = tag.partition("=")[0]
    return Words(
        "DKIM broken: a tag forbids the key",
        f"The key is right, but {plain(tag)} makes some receivers ignore it.",
        _publish(case, f"Replace the record by Zoho's value, without `{name}=`."),
        seen(case),
    )


def wrong_name(case: Case) -> Words:
    assert case.found_at is not None
    found = plain(case.found_at)
    todo = f"In the Name field enter only {_relative(case)}, then delete the record at {found}."
    return Words(
        "DKIM broken: published at the wrong name",
        f"The key is published at {found} instead of {case.host}.",
        _publish(case, todo),
        (*seen(case), f"{found}: holds Zoho's key"),
    )


def missing(case: Case) -> Words:
    assert case.verdict is not None
    # A record that Zoho never saw is not broken, it was not published.
    heading = "DKIM broken: no record" if case.is_verified else "DKIM record not published yet"
    what = f"No TXT record at {case.host}."
    if any(holding.is_wildcard for holding in case.verdict.truth):
        what += " A wildcard answers in its place."
    where = (
        f", at the provider that runs {listed(_name_servers(case))}" if _name_servers(case) else ""
    )
    todo = f"Add a TXT record: Name {_relative(case)}, Value as Zoho gives it, TTL 3600{where}."
    return Words(heading, what, _publish(case, todo), seen(case))


def unknown(case: Case) -> Words:
    if case.unread:
        what = f"Could not check{_since(case)}: {plain(case.unread, VALUE_MAX).removesuffix('.')}."
        return Words(UNKNOWN, what + _last_known(case), "")
    what = f"Could not check {case.host}{_since(case)}: {_reasons(case)}."
    return Words(UNKNOWN, what + _last_known(case), "", seen(case))


def _since(case: Case) -> str:
    since = case.history.unknown_since
    now = case.answers.at if case.answers else since
    return f" since {moment(since, now or since)}" if since else ""


def _last_known(case: Case) -> str:
    return f" Last known: {case.history.last_known}." if case.history.last_known else ""


def _reasons(case: Case) -> str:
    """Who failed how, equal failures together: "ns1 and ns2 timed out; resolver r1 …"."""
    if case.answers is None:
        return "DNS was not asked"
    grouped: dict[Status, list[str]] = {}
    for reply in (*case.answers.authoritative, *case.answers.resolvers):
        grouped.setdefault(reply.status, []).append(_server(reply))
    said = [f"{listed(names)} {status}" for status, names in grouped.items()]
    return "; ".join(said) or "no name server is known"


def propagating(case: Case) -> Words:
    assert case.verdict is not None
    stale = case.verdict.stale
    names = listed(_server(holding.reply) for holding in stale)
    verb = "has" if len(stale) == 1 else "have"
    left = _left(stale)
    if any(h.kind is RecordKind.RIGHT for h in case.verdict.truth):
        what = f"{names} still {verb} the old data; up to {left} left."
    else:
        what = (
            f"The servers do not agree: {names} hold different data; up to {left} until they may."
        )
    todo = f"Wait {left}; there is nothing to publish meanwhile."
    if case.history.disagreeing >= case.graces.propagation:
        todo = f"They have differed for {span(case.history.disagreeing)}: check the zone transfer."
    return Words("Name servers still disagree", what, todo, seen(case))


def _left(stale: Iterable[Holding]) -> str:
    """How long the longest-lived old answer may be kept."""
    seconds = [holding.reply.ttl for holding in stale if holding.reply.ttl is not None]
    return span(timedelta(seconds=max(seconds))) if seconds else "an hour"


def verify_pending(case: Case) -> Words:
    now = case.answers.at if case.answers else None
    since = (
        f" since {moment(now - case.history.waiting, now)}" if now and case.history.waiting else ""
    )
    todo = "There is nothing to publish, and no call that would hurry Zoho."
    if case.history.waiting >= case.graces.pending:
        todo = f"{todo} After {span(case.graces.pending)} open a ticket at Zoho with what was seen here."
    return Words(
        "Zoho has not confirmed the right record",
        f"DNS is right{since}; Zoho has not confirmed yet.",
        todo,
        seen(case),
    )


def status_stale(case: Case) -> Words:
    return Words(
        "DKIM broken",
        "Zoho still says verified, but receivers can no longer check the signature.",
        "Fix what is said above.",
    )


def dmarc_at_risk(case: Case) -> Words:
    policy = case.posture.dmarc
    assert policy is not None
    heading = "DMARC puts this mail at risk"
    what = f"Policy p={policy.policy}: receivers may {policy.policy} these mails."
    seen = (f"DMARC policy at {plain(policy.domain)}: {policy.policy}",)
    if case.is_broken:
        return Words(heading, what, "Fix DKIM first; do not relax DMARC.", seen)
    signer = case.host.domain if case.host else ""
    return Words(
        heading,
        f"{what} It asks for a signature by {plain(case.sender.domain)} itself (adkim=s), and Zoho "
        f"signs with {signer}.",
        f"Use a sender at {signer}; do not relax DMARC.",
        seen,
    )


def key_reissued(case: Case) -> Words:
    approved = case.snapshot.sender if case.snapshot else None
    old = approved and f"Approved: {_key(approved.dkim_host, approved.dkim_value)}"
    new = f"Live: {_key(case.sender.dkim_host, case.sender.dkim_value)}"
    return Words(
        OUTSIDE,
        f"Zoho issued a new DKIM key since {_approval(case)}.",
        "Restore what was approved, or accept the change; both need approval, and neither brings a "
        "replaced key back. Only once it is accepted publish the new record, and keep the old one "
        "until Zoho has verified the new one.",
        (new, old) if old else (new,),
    )


def config_drift(case: Case) -> Words:
    nothing = "not set" if case.is_comparable else SYSTEM_SENDER
    said = [
        f"The {FIELDS[change.field].in_a_sentence} is {plain(change.new or nothing, VALUE_MAX)}, "
        f"approved is {plain(change.old or nothing, VALUE_MAX)}."
        for change in case.drifted
    ]
    return Words(
        OUTSIDE,
        " ".join(said),
        "Restore what was approved, or accept the change; both need approval.",
    )


def test_mode(case: Case) -> Words:
    return Words(
        "DKIM is in test mode",
        "t=y tells receivers to treat the mails as unsigned.",
        _publish(case, "Publish the same record without t=y."),
        seen(case),
    )


def key_weak(case: Case) -> Words:
    return Words(
        "DKIM broken: Zoho's key is too short",
        f"Zoho signs with a {case.bits}-bit key.",
        f"Set the sender again with dkim_key_size {BITS_GOOD} (this needs approval). Expect a new "
        "selector and not_verified until the new record is published; publish it at once.",
    )


def policy_weak(case: Case) -> Words:
    spf, policy = case.posture.spf_records, case.posture.dmarc
    said, todo = [], []
    if spf not in {None, 1}:
        said.append(f"{spf} SPF records at {plain(case.sender.domain)}.")
        todo.append(
            _to_one("SPF", bool(spf), "v=spf1 … -all, with every service that sends for you")
        )
    if policy is not None and policy.records != 1:
        said.append(f"{policy.records} DMARC records at {plain(policy.domain)}.")
        todo.append(_to_one("DMARC", bool(policy.records), "v=DMARC1; p=none; rua=mailto:…"))
    return Words("SPF or DMARC needs care", " ".join(said), " ".join(todo))


def _to_one(what: str, has_some: bool, suggested: str) -> str:
    verb = "Merge them to" if has_some else "Publish"
    return f"{verb} one {what} record: {suggested}."


def _replace(case: Case, heading: str, what: str, more: str = "") -> Words:
    todo = f"Replace the record at {case.host} by Zoho's value.{more}"
    return Words(heading, what, _publish(case, todo), seen(case))


def _publish(case: Case, todo: str) -> str:
    """What to publish is no advice while nobody approved the key."""
    return todo if case.is_approved else f"Do not publish until accepted. Then: {todo}"


def _first(case: Case) -> Holding:
    assert case.verdict is not None
    return case.verdict.truth[0]


def _text(case: Case) -> str:
    return _first(case).reply.texts[0]


def _relative(case: Case) -> str:
    """The name as most panels want it."""
    apex = case.answers.apex if case.answers else None
    record = Record(str(case.host), "", apex)
    return record.relative_name or f"{record.name} (or without the zone, if your panel appends it)"


def _zone(case: Case) -> str:
    apex = case.answers.apex if case.answers else None
    return plain(apex or (case.host.domain if case.host else case.sender.domain))


def _name_servers(case: Case) -> tuple[str, ...]:
    """Who answers for the zone: people edit at providers that no longer serve it."""
    if case.answers is None:
        return ()
    answered = [reply.server for reply in case.answers.authoritative if reply.is_definite]
    return tuple(plain(name) for name in case.answers.name_servers or answered)


def _approval(case: Case) -> str:
    at = case.snapshot.approved_at if case.snapshot else None
    return f"{at:%-d %b %Y}" if at else "the approval"


def _key(host: str, value: str) -> str:
    bits = dkim.key_bits(value)
    return f"{plain(host)}, {f'{bits} bits' if bits else 'no RSA key'}, key {_mark(value)}"


def _mark(text: str) -> str:
    return plain(dkim.fingerprint(text)) or UNREADABLE


def _start(text: str) -> str:
    return plain(text.split(" ")[0], START_MAX)


def _server(reply: Reply) -> str:
    name = plain(reply.server)
    return name if reply.is_authoritative else f"resolver {name}"


def seen(case: Case) -> tuple[str, ...]:
    """One line for each server, and for what else was asked about the host."""
    answers = case.answers
    if answers is None:
        return ()
    value = case.sender.dkim_value
    lines = [
        f"{_server(r)}: {held(r, value)}" for r in (*answers.authoritative, *answers.resolvers)
    ]
    lines += [f"{_server(r)}, checking disabled: {held(r, value)}" for r in answers.unvalidated]
    if case.verdict and any(h.is_wildcard for h in (*case.verdict.truth, *case.verdict.caches)):
        lines.append("A wildcard gives the same to any name beside it.")
    return tuple(lines)


def held(reply: Reply, dkim_value: str) -> str:
    """What a server holds at the host, in a few words."""
    via = f"alias to {plain(reply.aliases[0])}: " if reply.aliases else ""
    if not reply.is_definite or reply.status in {Status.LOOP, Status.NXDOMAIN}:
        return f"{via}{reply.status}"
    if not reply.texts:
        return f"{via}no TXT record"
    if len(reply.texts) > 1:
        shown = "; ".join(_described(text, dkim_value) for text in reply.texts[:RECORDS_SHOWN])
        more = "; …" if len(reply.texts) > RECORDS_SHOWN else ""
        return f"{via}{len(reply.texts)} TXT records: {shown}{more}"
    return via + _described(reply.texts[0], dkim_value)


def _described(text: str, dkim_value: str) -> str:
    mark = dkim.fingerprint(text)
    if not mark:
        return f"{len(text)} characters that start `{_start(text)}`"
    whose = "Zoho's key" if dkim.public_key(text) == dkim.public_key(dkim_value) else "key"
    return f"{whose} {plain(mark)}, {len(text)} characters"


def holders(case: Case) -> str:
    """Who holds the right record, if everybody does: "both authoritative servers and one resolver"."""
    if case.answers is None or case.verdict is None or not case.verdict.is_right_everywhere:
        return ""
    asked = (
        (case.answers.authoritative, "authoritative server"),
        (case.answers.resolvers, "resolver"),
    )
    counts = [(len([r for r in replies if r.is_definite]), what) for replies, what in asked]
    return listed(_counted(n, what) for n, what in counts if n)


def _counted(number: int, what: str) -> str:
    words = {1: f"one {what}", 2: f"both {what}s"}
    return words.get(number, f"all {number} {what}s")


def listed(names: Iterable[str]) -> str:
    """`ns1`, `ns1 and ns2`, `ns1, ns2 and ns3`."""
    said = list(names)
    return " and ".join(filter(None, [", ".join(said[:-1]), *said[-1:]]))


def span(length: timedelta) -> str:
    """A length of time, rounded up: `30 min`, `4 h`, `3 days`."""
    minutes = max(1, math.ceil(length / timedelta(minutes=1)))
    if minutes < 120:
        return f"{minutes} min"
    hours = math.ceil(minutes / 60)
    return f"{hours} h" if hours <= 72 else f"{math.ceil(hours / 24)} days"


def moment(at: datetime, now: datetime) -> str:
    """A time of day, with its date where that is not today (UTC)."""
    same_day = at.date() == now.date()
    return f"{at:%H:%M} UTC" if same_day else f"{at:%-d %b %Y %H:%M} UTC"
