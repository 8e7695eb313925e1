"""Logs with fields, for people or machines, in which no secret can appear.

Every line, ours and the libraries', passes one formatter that blots out whatever looks like a Slack
or Zoho token and the exact secrets of this deployment.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog

LOOKS_SECRET = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|1000\.[0-9A-Za-z]+\.[0-9A-Za-z]+"
    r"|(?<=Bearer )\S+|(?<=Zoho-oauthtoken )\S+|(?<=client_secret=)[^&\s]+|(?<=ticket=)[^&\s\"']+"
)
BLOT = "[secret]"


@contextmanager
def about_change(number: int) -> Iterator[None]:
    """Every line logged inside carries the number of the change.

    After an error the number stays, for the line of whoever catches it in the same task.
    """
    before = structlog.contextvars.bind_contextvars(change=number)
    yield
    structlog.contextvars.reset_contextvars(**before)


class Redacting(logging.Formatter):
    """Formats with another formatter, then blots out secrets."""

    def __init__(self, inner: logging.Formatter, secrets: Iterable[str]) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        return blotted(self._inner.format(record), self._secrets)


def blotted(text: str, secrets: Iterable[str]) -> str:
    """Without whatever looks like a Slack or Zoho token, and without these secrets."""
    shown = LOOKS_SECRET.sub(BLOT, text)
    for secret in filter(None, secrets):
        shown = shown.replace(secret, BLOT)
    return shown


def configure(level: str, form: str, secrets: Iterable[str] = ()) -> None:
    """Log to standard error; `form` is console or json. Replaces what was configured before."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    inner = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(Redacting(inner, secrets))
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "apscheduler", "aiosqlite", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
