"""The audit's hash chain: whole where it is short, else its end."""

from __future__ import annotations

from bot.adapters.store.reading import open_to_read
from bot.adapters.store.version import Tables
from bot.doctor.findings import Judgement, NotChecked, Sheet, failure, ok
from bot.domain.change import Seal
from bot.services.audit import Verification, verify, verify_end
from bot.settings import Partial

WHOLE_UP_TO = 500
"""Entries; a longer audit is followed from so many before its end, which takes well below a second."""
NOTHING = ok("Nothing is recorded yet.")
CURE = "Run `mailcfg audit verify`, keep a copy of the database, and find out who wrote to it."


def sheet() -> Sheet:
    return Sheet("audit.chain")


async def check(found: Partial, sheet: Sheet, tables: Tables) -> None:
    """Raises NotChecked, DatabaseError and Tampered."""
    if tables is Tables.MISSING:
        sheet.put("audit.chain", NOTHING)
        return
    if tables is not Tables.CURRENT:
        raise NotChecked(f"the database's tables are {tables.value}")
    if "MAILCFG_SECRET_KEY" in found.wrong:
        raise NotChecked("MAILCFG_SECRET_KEY has no right value")
    settings = found.settings
    seal = Seal(tuple(key.get_secret_value().encode() for key in settings.secret_key))
    async with open_to_read(settings.database_url) as store:
        head = await store.audit_head(settings.org)
        length = 0 if head is None else head.seq
        if length > WHOLE_UP_TO:
            result = await verify_end(store, settings.org, WHOLE_UP_TO)
        else:
            result = await verify(store, settings.org, seal)
    sheet.put("audit.chain", judge_chain(result, length))


def judge_chain(result: Verification, length: int) -> Judgement:
    if result.problem:
        return failure(result.problem, CURE)
    if length > result.entries:
        return ok(
            f"The last {result.entries} of {length} entries hold; `mailcfg audit verify` follows all."
        )
    if length == 0:
        return NOTHING
    return ok(f"It holds (entries: {result.entries}, requests: {result.requests}).")
