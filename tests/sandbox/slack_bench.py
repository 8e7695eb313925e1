"""Blocks and views as an app sends them, and the real SDK's client and app in an emulated workspace."""

from __future__ import annotations

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

ADMIN = "C0MAILADMIN"


def plain(text="x"):
    return {"type": "plain_text", "text": text}


def mrkdwn(text="x"):
    return {"type": "mrkdwn", "text": text}


def button(**more):
    return {"type": "button", "text": plain(), "action_id": "go"} | more


def actions(*elements, **more):
    return {"type": "actions", "elements": list(elements)} | more


def section(**more):
    return {"type": "section", "text": mrkdwn()} | more


def options(count, text="x", value="v"):
    return [{"text": plain(text), "value": f"{value}{n}"} for n in range(count)]


def form_input(element=None, **more):
    element = element or {"type": "plain_text_input", "action_id": "a"}
    return {"type": "input", "label": plain(), "element": element} | more


def modal(**more):
    return {"type": "modal", "title": plain(), "blocks": [section()]} | more


def client_of(slack, token=None):
    token = slack.state.credentials.bot_token if token is None else token
    return AsyncWebClient(token=token, base_url=f"{slack.state.origin}/api/", retry_handlers=[])


def bolt_app(slack):
    secret = slack.state.credentials.signing_secret
    return AsyncApp(client=client_of(slack), signing_secret=secret)


async def acknowledge(ack):
    await ack()
