"""The database: there, of this version, writable, and durable."""

from __future__ import annotations

from bot.adapters.store.inspection import DatabaseFacts, Engine, inspect
from bot.adapters.store.version import Tables
from bot.doctor.findings import Judgement, NotChecked, Sheet, failure, ok, warning
from bot.errors import DatabaseError
from bot.settings import Partial

OPEN_IT = (
    "Check MAILCFG_DATABASE_URL, and that the user mailcfg runs as may open it; a database server "
    "must run and be reached from here."
)
WRITE_IT = {
    Engine.SQLITE: (
        "Make sure that its folder is there, that the user mailcfg runs as may write to it and to the "
        "file, and that no other program holds the file."
    ),
    Engine.POSTGRESQL: (
        "Let the user of MAILCFG_DATABASE_URL write there; a standby cannot be used."
    ),
}


def sheet() -> Sheet:
    return Sheet("database.tables", "database.writable", "database.durable")


async def check(found: Partial, sheet: Sheet, call_seconds: float) -> DatabaseFacts:
    """Raises NotChecked."""
    if "MAILCFG_DATABASE_URL" in found.wrong:
        raise NotChecked("MAILCFG_DATABASE_URL has no right value")
    try:
        facts = await inspect(found.settings.database_url, within_seconds=call_seconds)
    except DatabaseError as trouble:
        sheet.put("database.tables", failure(str(trouble), OPEN_IT))
        raise NotChecked("database.tables comes first") from trouble
    sheet.put("database.tables", judge_tables(facts))
    sheet.put("database.writable", judge_writable(facts))
    sheet.put("database.durable", judge_durability(facts))
    return facts


def judge_tables(facts: DatabaseFacts) -> Judgement:
    """On SQLite `mailcfg run` makes and upgrades the tables by itself."""
    told = f"{facts.where}: the tables are {facts.tables.value}"
    if facts.tables is Tables.CURRENT:
        return ok(f"{told}.")
    if facts.tables is Tables.UNKNOWN:
        return failure(
            f"{told}.", "Run the version of mailcfg that made them, or name another database."
        )
    if facts.kind is Engine.SQLITE:
        does = "makes" if facts.tables is Tables.MISSING else "upgrades"
        return ok(f"{told}; `mailcfg run` {does} them.")
    return failure(f"{told}.", "Stop every mailcfg that uses it, then run `mailcfg migrate`.")


def judge_writable(facts: DatabaseFacts) -> Judgement:
    if not facts.refusal:
        return ok("It can be written; nothing was.")
    return failure(f"It cannot be written: {facts.refusal}.", WRITE_IT[facts.kind])


def judge_durability(facts: DatabaseFacts) -> Judgement:
    """Whether what was committed, such as an approval, survives a power failure."""
    if facts.network is not None:
        return failure(
            f"{facts.where} is on a network file system ({facts.network}), where SQLite is not safe.",
            "Put it on a local disk, or use PostgreSQL.",
        )
    if facts.kind is Engine.SQLITE:
        return ok("On a local disk, written through at each commit (WAL, synchronous=FULL).")
    off = sorted(name for name, value in facts.durability.items() if value == "off")
    if off:
        return warning(
            f"A crash of the database server can lose approvals: {', '.join(off)} is off.",
            "Turn it on in postgresql.conf.",
        )
    return ok("What is committed survives a crash (fsync and synchronous_commit are on).")
