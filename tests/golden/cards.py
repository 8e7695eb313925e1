"""Every card in every state, as it is rendered. The one file here that knows how cards are made."""

from __future__ import annotations

import json
from typing import Any

from bot.adapters.slack.cards import answers, telling, watch
from bot.adapters.slack.cards import request as cards
from tests.adapters.slack.every_card import INCIDENTS, ORGANISATION, REQUESTS


def rendered() -> list[str]:
    lines = []
    for name, request in REQUESTS.items():
        shown: dict[str, Any] = {
            "card": cards.card(request, ORGANISATION),
            "result": cards.result_line(request),
            "outcome": telling.outcome(request, None),
            "pending": answers.pending(request, None),
            "proposed": answers.proposed(request, "https://acme.slack.example/x"),
        }
        lines += [_line(f"{name}: {part}", content) for part, content in shown.items()]
        details = cards.details(request, ORGANISATION).to_dict()
        lines.append(f"{name}: details {json.dumps(details, sort_keys=True, ensure_ascii=False)}")
    lines += [_line(name, watch.card(row, ORGANISATION)) for name, row in INCIDENTS.items()]
    return lines


def _line(name: str, content: Any) -> str:
    shown = {"text": content.text, "blocks": list(content.blocks)}
    return f"{name} {json.dumps(shown, sort_keys=True, ensure_ascii=False)}"
