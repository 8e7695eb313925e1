"""One pass over DNS for a sender, if there is a key to look for."""

from __future__ import annotations

from bot.domain.case import api_problem, key_host
from bot.domain.dns_answers import Answers
from bot.domain.mail_config import MailConfig
from bot.ports import Resolver


async def ask_dns(
    resolver: Resolver, live: MailConfig | None, apex_hint: str | None = None
) -> Answers | None:
    """None where there is nothing to ask: no sender, or one whose own data is unusable."""
    host = None if live is None else key_host(live)
    if live is None or host is None or api_problem(live):
        return None
    return await resolver.examine(host, live.dkim_value, live.domain, apex_hint=apex_hint)
