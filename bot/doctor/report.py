"""An examination from settings to words, without any secret in them."""

from __future__ import annotations

import json

from bot import logs, settings
from bot.doctor.examination import Examination, Limits
from bot.doctor.findings import EXIT_CODES, as_dict, as_text, worst
from bot.ports import Clock
from bot.settings import Partial


async def examine(
    found: Partial, form: str, clock: Clock | None = None, limits: Limits | None = None
) -> tuple[str, int]:
    """What to print as `text` or `json`, and the exit code."""
    findings = await Examination(found, clock, limits).run()
    told = as_text(findings) if form == "text" else json.dumps(as_dict(findings), indent=2)
    secrets = settings.secrets_of(found.settings)
    return logs.blotted(told, secrets), EXIT_CODES[worst(findings)]
