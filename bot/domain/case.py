"""One case for the findings: what is live, what was approved, what DNS answered, and what follows.

Facts only; which of them are findings is `findings`' table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from bot.domain import dkim
from bot.domain.dkim import Damage, KeyRecord
from bot.domain.dns_answers import Answers
from bot.domain.key_host import KeyHost, is_within
from bot.domain.mail_config import FIELDS, FieldChange, MailConfig, drift
from bot.domain.posture import Posture, posture
from bot.domain.typed import VERIFIED
from bot.domain.verdict import RecordKind, Verdict, judge, kind_of, misplaced

BITS_MIN, BITS_GOOD = 1024, 2048
"""Receivers refuse shorter RSA keys than the first, signers should use the second (RFC 8301)."""
NAME_SHOWN_MAX = 253
SYSTEM_SENDER = "Cliq's system sender"


def plain(text: str, most: int = NAME_SHOWN_MAX) -> str:
    """Text from outside in one line, without what could act on a terminal, and not too long."""
    visible = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    flat = " ".join(visible.replace("`", "'").split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was approved; `sender` None is that no custom sender be set.

    Of `sender` the address, the name, the DKIM host and the DKIM value count. `apex` and
    `name_servers` are the zone as it was seen then, where it was.
    """

    sender: MailConfig | None
    approved_at: datetime | None = None
    apex: str | None = None
    name_servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """What earlier passes found, as far as a sentence or a severity needs it.

    `waiting` is how long DNS has been right and the API not verified, `disagreeing` how long servers
    have differed, `unknown_since` when nobody answered first, `last_known` what was so before, as
    people say it ("in order (04:00 UTC)").
    """

    waiting: timedelta = timedelta(0)
    disagreeing: timedelta = timedelta(0)
    unknown_since: datetime | None = None
    last_known: str = ""


@dataclass(frozen=True, slots=True)
class Graces:
    """How long a wait is no trouble."""

    pending: timedelta = timedelta(hours=72)
    propagation: timedelta = timedelta(hours=24)


@dataclass(frozen=True)
class Case:
    """Everything that is known, and what follows from it for every row of the table.

    `answers` is None where DNS was not asked. While a change of our own `is_in_flight`, nothing is
    compared with the snapshot: it is no drift. `unread` is why the API could not be read.
    """

    live: MailConfig | None
    answers: Answers | None = None
    snapshot: Snapshot | None = None
    history: History = field(default_factory=History)
    graces: Graces = field(default_factory=Graces)
    is_in_flight: bool = False
    unread: str = ""

    @cached_property
    def sender(self) -> MailConfig:
        """The live sender; only for rows that are about one."""
        assert self.live is not None
        return self.live

    @cached_property
    def host(self) -> KeyHost | None:
        """The name of the key record, if it is one for the From domain."""
        return None if self.live is None else key_host(self.live)

    @cached_property
    def api_problem(self) -> str:
        """What is wrong with Zoho's own data; empty if nothing is."""
        return "" if self.live is None else api_problem(self.live)

    @cached_property
    def is_judged(self) -> bool:
        """Whether there is a key to look for, so that DNS says something."""
        return self.live is not None and not self.api_problem and not self.unread

    @cached_property
    def verdict(self) -> Verdict | None:
        if not self.is_judged or self.answers is None:
            return None
        return judge(self.answers, self.sender.dkim_value)

    @cached_property
    def posture(self) -> Posture:
        if self.answers is None or not self.is_judged:
            return Posture(None, None)
        return posture(self.answers)

    @cached_property
    def kind(self) -> RecordKind | None:
        return None if self.verdict is None else self.verdict.kind

    @cached_property
    def found_at(self) -> str | None:
        """Where the key stands instead, if a probe met it."""
        if self.answers is None or self.kind is not RecordKind.MISSING:
            return None
        return misplaced(self.answers, self.sender.dkim_value)

    @cached_property
    def bits(self) -> int | None:
        return self.live.dkim_bits if self.live is not None and self.is_judged else None

    @cached_property
    def is_verified(self) -> bool:
        return self.is_judged and self.sender.dkim_status == VERIFIED

    @cached_property
    def is_broken(self) -> bool:
        """A definite break: receivers cannot use the signature, or must not."""
        if self.verdict is None:
            return False
        is_wrong = self.kind not in {None, RecordKind.RIGHT} and not self.is_harmless_multiple
        return bool(self.verdict.outage or is_wrong or (self.bits or BITS_MIN) < BITS_MIN)

    @cached_property
    def is_harmless_multiple(self) -> bool:
        """Several records, each of which would do."""
        if self.kind is not RecordKind.MULTIPLE or self.verdict is None:
            return False
        texts = [text for holding in self.verdict.truth for text in holding.reply.texts]
        return all(kind_of(text, self.sender.dkim_value) is RecordKind.RIGHT for text in texts)

    @cached_property
    def record(self) -> KeyRecord | None:
        """The one published record, where it carries Zoho's key."""
        if self.kind not in {RecordKind.RIGHT, RecordKind.TAG_CONFLICT} or self.verdict is None:
            return None
        read = dkim.read(self.verdict.record or "")
        return read if isinstance(read, KeyRecord) else None

    @cached_property
    def is_aligned_strictly(self) -> bool:
        """Whether the signing domain is the From domain itself."""
        return self.host is not None and self.host.domain == self.sender.domain

    @cached_property
    def changed_outside(self) -> tuple[FieldChange, ...]:
        """What somebody changed outside approval."""
        if self.snapshot is None or self.is_in_flight or self.unread:
            return ()
        return drift(self.snapshot.sender, self.live)

    @cached_property
    def drifted(self) -> tuple[FieldChange, ...]:
        """Of that, what people decide about; where a sender came or went, its address says all."""
        decided = [c for c in self.changed_outside if FIELDS[c.field].is_decided]
        return tuple(decided if self.is_comparable else decided[:1])

    @cached_property
    def is_reissued(self) -> bool:
        """Whether Zoho signs with another key than was approved."""
        return self.is_comparable and len(self.changed_outside) > len(self.drifted)

    @cached_property
    def is_comparable(self) -> bool:
        """Whether there is a sender on either side."""
        return self.live is not None and self.snapshot is not None and bool(self.snapshot.sender)

    @cached_property
    def is_approved(self) -> bool:
        return not self.changed_outside


def key_host(live: MailConfig) -> KeyHost | None:
    """The host that Zoho names, if it is one of the From domain or of a parent of it."""
    host = KeyHost.of(live.dkim_host)
    return host if host is not None and is_within(live.domain, host.domain) else None


def api_problem(live: MailConfig) -> str:
    """Why the DKIM data of the API cannot be used; empty if it can.

    A damaged record could not be published as it stands, so it is not usable either.
    """
    record = dkim.read(live.dkim_value)
    if isinstance(record, KeyRecord) and record.is_revoked:
        return "its record has an empty p="
    damage = record if isinstance(record, Damage) else dkim.key_damage(record)
    if damage is not None:
        return f"its record has {plain(damage.what).removesuffix(',')}"
    if key_host(live) is None:
        host = f"its host {plain(live.dkim_host)}" if live.dkim_host else "its empty host"
        return f"{host} is no selector._domainkey name of {plain(live.domain)}"
    return ""
