"""What DNS says about the key at a host: each server judged by itself, then all of them together.

The zone's own servers are the truth; resolvers decide where none of these answers. Servers that
disagree prove nothing but that they disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from bot.domain import dkim
from bot.domain.dkim import Damage
from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.key_host import is_registry


class RecordKind(Enum):
    """What one server holds at the host."""

    RIGHT = "right"
    BROKEN_ALIAS = "broken alias"
    MULTIPLE = "multiple"
    REVOKED = "revoked"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    OTHER_KEY = "other key"
    TAG_CONFLICT = "tag conflict"
    MISSING = "missing"


class Outage(StrEnum):
    """Why nobody can resolve the domain, in words for people."""

    LAME = "every name server of its zone fails or refuses to answer"
    DNSSEC = "its DNSSEC signatures do not validate (answers come only with checking disabled)"
    GONE = "the domain does not exist any more"


@dataclass(frozen=True, slots=True)
class Holding:
    """What one server holds. `is_wildcard`: not at the host itself, a wildcard record answers."""

    kind: RecordKind
    reply: Reply
    is_wildcard: bool = False

    @property
    def sense(self) -> tuple[object, ...]:
        """Equal where two servers agree: TTL, order, split and spaces of records do not matter."""
        if self.kind in {RecordKind.RIGHT, RecordKind.MISSING}:
            return (self.kind,)
        if self.kind is RecordKind.BROKEN_ALIAS:
            return (self.kind, self.reply.aliases[:1])
        return (self.kind, *sorted(dkim.public_key(text) for text in self.reply.texts))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`truth` decides; `caches` are resolvers that answered beside it, and decide nothing."""

    outage: Outage | None
    truth: tuple[Holding, ...]
    caches: tuple[Holding, ...] = ()

    @property
    def is_unknown(self) -> bool:
        return self.outage is None and not self.truth

    @property
    def kind(self) -> RecordKind | None:
        """What is so, if those who decide agree on it and the domain can be resolved."""
        if self.outage is not None or len({holding.sense for holding in self.truth}) != 1:
            return None
        return self.truth[0].kind

    @property
    def stale(self) -> tuple[Holding, ...]:
        """Who holds something else than the rest: the wrong ones, where some are right.

        Caches count only once all of the truth is right: they may keep what was there before.
        """
        if self.outage is not None or not self.truth or self.kind not in {None, RecordKind.RIGHT}:
            return ()
        everyone = (*self.truth, *self.caches)
        return tuple(holding for holding in everyone if holding.kind is not RecordKind.RIGHT)

    @property
    def is_right_everywhere(self) -> bool:
        return self.kind is RecordKind.RIGHT and not self.stale

    @property
    def record(self) -> str | None:
        """The one TXT record that everybody of the truth holds; None where it is not one."""
        if self.kind is None or any(len(holding.reply.texts) != 1 for holding in self.truth):
            return None
        return self.truth[0].reply.texts[0]


def judge(answers: Answers, dkim_value: str) -> Verdict:
    """The verdict on what Zoho signs with `dkim_value`, whose key must be usable."""
    truth = tuple(_holding(reply, dkim_value, answers.wildcard) for reply in answers.truth)
    caches = tuple(
        _holding(reply, dkim_value, answers.wildcard)
        for reply in answers.resolvers
        if reply.is_definite and reply not in answers.truth
    )
    return Verdict(_outage(answers), truth, caches)


def _outage(answers: Answers) -> Outage | None:
    existence = answers.existence
    if existence is not None and existence.status is Status.NXDOMAIN:
        is_zone = existence.name == answers.apex
        if is_zone or (existence.zone is not None and is_registry(existence.zone)):
            return Outage.GONE
    if any(reply.is_definite for reply in answers.resolvers):
        return None
    if any(reply.is_definite for reply in answers.unvalidated):
        return Outage.DNSSEC
    own = {reply.status for reply in answers.authoritative}
    others = {reply.status for reply in answers.resolvers}
    is_lame = own and own <= {Status.REFUSED, Status.SERVFAIL} and others == {Status.SERVFAIL}
    return Outage.LAME if is_lame else None


def _holding(reply: Reply, dkim_value: str, wildcard: Reply | None) -> Holding:
    is_wildcard = wildcard is not None and reply.has_data and _same_data(reply, wildcard)
    kind = _kind(reply, dkim_value)
    # A wildcard that gives the right record works for receivers, whatever was meant by it.
    if is_wildcard and kind is not RecordKind.RIGHT:
        kind = RecordKind.MISSING
    return Holding(kind, reply, is_wildcard)


def _same_data(one: Reply, other: Reply) -> bool:
    return one.aliases == other.aliases and sorted(one.texts) == sorted(other.texts)


def _kind(reply: Reply, dkim_value: str) -> RecordKind:
    if reply.aliases and not reply.texts:
        return RecordKind.BROKEN_ALIAS
    if not reply.texts:
        return RecordKind.MISSING
    if len(reply.texts) > 1:
        return RecordKind.MULTIPLE
    return kind_of(reply.texts[0], dkim_value)


def kind_of(text: str, dkim_value: str) -> RecordKind:
    """One TXT record against the key that Zoho signs with.

    A cut key is looked for before its base64 is decoded: cut at a multiple of four characters it
    decodes well.
    """
    record, wanted = dkim.read(text), dkim.public_key(dkim_value)
    if isinstance(record, Damage):
        return RecordKind.MALFORMED
    key = dkim.public_key(text)
    if record.is_revoked:
        return RecordKind.REVOKED
    if key != wanted:
        if key and wanted.startswith(key):
            return RecordKind.TRUNCATED
        return RecordKind.MALFORMED if dkim.key_damage(record) else RecordKind.OTHER_KEY
    return RecordKind.TAG_CONFLICT if dkim.conflicting_tag(record, dkim_value) else RecordKind.RIGHT


def suspect(answers: Answers, dkim_value: str) -> Reply | None:
    """An answer whose data is not the right record, so that a wildcard may have given it."""
    for reply in answers.truth:
        if reply.has_data and _kind(reply, dkim_value) is not RecordKind.RIGHT:
            return reply
    return None


def may_be_gone(answers: Answers) -> bool:
    """Whether so little was found at the host that the whole domain may be gone."""
    said = [reply for reply in (*answers.authoritative, *answers.resolvers) if reply.is_definite]
    return all(reply.status is Status.NXDOMAIN and not reply.aliases for reply in said)


def misplaced(answers: Answers, dkim_value: str) -> str | None:
    """The name where the key stands instead of the host; one of several records is enough."""
    wanted = dkim.public_key(dkim_value)
    for reply in answers.slips:
        if wanted in {dkim.public_key(text) for text in reply.texts}:
            return reply.name
    return None
