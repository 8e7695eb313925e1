"""What an approver reads of a new key: from the answers of DNS to whole sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.posture import Dmarc
from bot.domain.preflight import Preflight
from tests.fakes import MORNING

DOMAIN = "acme.example"
REJECT = Preflight(DOMAIN, ("ns1.dnshost.example",), 1, Dmarc(DOMAIN, 1, "reject"))
START = "After this, DKIM for acme.example cannot pass until a new TXT record is published"


def answered(name: str, *texts: str) -> Reply:
    return Reply("ns1", name, Status.ANSWERED if texts else Status.NXDOMAIN, texts)


def failed(name: str) -> Reply:
    return Reply("ns1", name, Status.SERVFAIL)


def answers(spf: Reply | None, *policies: Reply, names: tuple[str, ...] = ("ns1.acme.example",)):
    host = f"_domainkey.{DOMAIN}"
    return Answers(host, MORNING, apex=DOMAIN, name_servers=names, spf=spf, dmarc=policies)


def test_the_whole_reads_like_this():
    assert REJECT.said() == (
        f"{START} at ns1.dnshost.example. Its DMARC policy is p=reject: receivers may reject mail "
        "meanwhile. Its SPF record helps only where the return path is in this domain, too. Have the "
        "DNS owner ready."
    )


@pytest.mark.parametrize(
    ("dmarc", "said"),
    [
        (
            Dmarc("acme.example", 1, "quarantine"),
            "Its DMARC policy is p=quarantine: receivers may quarantine mail meanwhile.",
        ),
        (
            Dmarc("acme.example", 1, "none"),
            "Its DMARC policy is p=none: receivers are not asked to reject mail meanwhile.",
        ),
        (
            Dmarc("example.org", 1, "reject"),
            "Its DMARC policy is p=reject (from example.org): receivers may reject mail meanwhile.",
        ),
        (
            Dmarc("acme.example", 0),
            "It has no DMARC record, so no policy asks receivers to reject mail meanwhile.",
        ),
        (Dmarc("acme.example", 2), "It has 2 DMARC records, which count as no policy."),
        (None, "The DMARC policy could not be looked up."),
    ],
)
def test_each_dmarc_policy_has_its_sentence(dmarc: Dmarc | None, said: str):
    assert f" at ns1.dnshost.example. {said} " in replace(REJECT, dmarc=dmarc).said()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "It has no SPF record."),
        (3, "It has 3 SPF records, which count as none."),
        (None, "The SPF record could not be looked up."),
    ],
)
def test_each_number_of_spf_records_has_its_sentence(number: int | None, said: str):
    assert f" {said} Have the DNS owner ready." in replace(REJECT, spf_records=number).said()


def test_name_servers_that_are_not_known_are_said_to_be_so():
    said = replace(REJECT, name_servers=()).said()
    assert said.startswith(f"{START}. The name servers of its zone could not be looked up. Its")


def test_several_name_servers_are_listed():
    said = replace(REJECT, name_servers=("ns1.a.example", "ns2.a.example", "ns.b.example")).said()
    assert said.startswith(f"{START} at ns1.a.example, ns2.a.example and ns.b.example. ")


def test_it_is_made_of_what_dns_answered():
    seen = answers(
        answered(DOMAIN, "v=spf1 -all"), answered(f"_dmarc.{DOMAIN}", "v=DMARC1; p=quarantine")
    )
    assert Preflight.of(DOMAIN, seen) == Preflight(
        DOMAIN, ("ns1.acme.example",), 1, Dmarc(DOMAIN, 1, "quarantine")
    )


@pytest.mark.parametrize(
    "seen",
    [
        answers(failed(DOMAIN), failed(f"_dmarc.{DOMAIN}"), names=()),
        answers(None, names=()),
        answers(failed(DOMAIN), answered(f"_dmarc.{DOMAIN}"), failed("_dmarc.example"), names=()),
    ],
    ids=["failed", "not asked", "a parent failed"],
)
def test_a_failed_look_up_is_never_none(seen: Answers):
    found = Preflight.of(DOMAIN, seen)
    assert (found.name_servers, found.spf_records, found.dmarc) == ((), None, None)
    assert "no DMARC record" not in found.said()
    assert "no SPF record" not in found.said()


def test_of_very_many_or_hostile_name_servers_few_harmless_ones_are_kept():
    names = tuple(f"ns{n}\n`<!channel>`.{'x' * 300}.example" for n in range(200))
    found = Preflight.of(DOMAIN, answers(None, names=names))
    assert len(found.name_servers) == 6
    assert all(len(name) <= 253 and name.isprintable() for name in found.name_servers)
    assert "`" not in found.said()
