"""What is said about a new key before anyone approves it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.preflight import warning


def survey(spf: list[str] | None, dmarc: list[str] | None, *servers: str) -> Answers:
    """None is a look-up that failed."""

    def reply(name: str, texts: list[str] | None) -> Reply:
        status = Status.TIMED_OUT if texts is None else Status.ANSWERED
        return Reply("ns1", name, status, tuple(texts or ()))

    return Answers(
        host="acme.example",
        at=datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
        name_servers=servers,
        spf=reply("acme.example", spf),
        dmarc=(reply("_dmarc.acme.example", dmarc),),
    )


FIRST = "After this, DKIM for acme.example cannot pass until a new TXT record is published"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            survey(["v=spf1 -all"], ["v=DMARC1; p=reject"], "ns1.dnshost.example"),
            f"{FIRST} at ns1.dnshost.example. Its DMARC policy is p=reject: receivers may reject "
            "mail meanwhile. Have the DNS owner ready.",
        ),
        (
            survey([], [], "ns1.x", "ns2.x"),
            f"{FIRST} at ns1.x and ns2.x. It has no DMARC policy. It has no SPF. Have the DNS owner "
            "ready.",
        ),
        (
            survey(["v=spf1", "v=spf1 -all"], ["v=DMARC1; p=none", "v=DMARC1; p=reject"], "ns1.x"),
            f"{FIRST} at ns1.x. It has 2 DMARC records, which count as none. It has 2 SPF records, "
            "which count as none. Have the DNS owner ready.",
        ),
        (
            survey(None, None),
            f"{FIRST}. The name servers of its zone could not be looked up. The DMARC policy could "
            "not be looked up. SPF could not be looked up. Have the DNS owner ready.",
        ),
        (
            survey(["v=spf1 -all"], ["v=DMARC1; p=none"], "ns1.x"),
            f"{FIRST} at ns1.x. Its DMARC policy is p=none: it asks receivers for nothing meanwhile. "
            "Have the DNS owner ready.",
        ),
    ],
)
def test_a_new_key_is_announced_with_what_mail_will_meet(answers: Answers, said: str):
    assert warning(answers) == said
