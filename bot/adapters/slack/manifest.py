"""The Slack app's manifest, schema 2: what the bot asks for, each thing with its reason.

`manifest.yml` at the top of the repository is `for_socket_mode()`, kept equal by a test.
"""

from __future__ import annotations

from bot.domain.command import USAGE_HINT
from bot.errors import InputError

SCOPES = {
    "commands": "/mailcfg",
    "chat:write": "request cards, alerts, their updates and threads, private answers",
    "users:read": "who somebody is at each click: guest, bot, deactivated, of another workspace",
    "channels:read": "mailcfg doctor: is the bot in its channels, and is nobody else's company",
    "groups:read": "the same, where a channel is private",
}
"""Every bot scope with its reason; a test holds them against the methods that are called."""
GROUP_SCOPES = {"usergroups:read": "who is in a usergroup of approvers"}
"""The same, only where MAILCFG_APPROVERS has a usergroup."""

EVENTS = {
    "app_uninstalled": "pause, and say so in the log",
    "tokens_revoked": "the same",
}
GROUP_EVENTS = {
    "subteam_members_changed": "read anew who is in a group",
    "subteam_updated": "the same",
}

EVENTS_PATH = "/slack/events"


def for_socket_mode(*, groups: bool = False) -> str:
    """The manifest for Socket Mode; with `groups` usergroups can be approvers."""
    return _manifest(None, groups)


def for_http(base_url: str, *, groups: bool = False) -> str:
    """The manifest for signed HTTP at a public https address. Raises InputError."""
    url = base_url.rstrip("/")
    if not url.startswith("https://") or any(c.isspace() for c in url):
        raise InputError(
            f"`{base_url}` is no public https address; try `--http https://mailcfg.example.com`."
        )
    return _manifest(url if url.endswith(EVENTS_PATH) else url + EVENTS_PATH, groups)


def _manifest(url: str | None, groups: bool) -> str:
    """The text; `url` is where Slack posts to, None for Socket Mode."""
    request_url = "" if url is None else f"\n      url: {url}"
    posted_to = "" if url is None else f"\n    request_url: {url}"
    scopes = _listed(SCOPES | (GROUP_SCOPES if groups else {}), indent=6)
    events = _listed(EVENTS | (GROUP_EVENTS if groups else {}), indent=6)
    transport = (
        "# Delivery over a WebSocket. Besides installing the app, make an app-level token with the\n"
        "  # scope connections:write, for SLACK_APP_TOKEN."
        if url is None
        else "# Delivery by signed HTTP to the request_url."
    )
    return f"""\
# The Slack app of mailcfg. Create it at api.slack.com/apps, "From a manifest".
_metadata:
  major_version: 2
display_information:
  name: mailcfg
  description: Change control for your organisation's e-mail sender
  background_color: "#1d3557"
features:
  app_home:
    home_tab_enabled: false
    messages_tab_enabled: true
    messages_tab_read_only_enabled: true
  bot_user:
    display_name: mailcfg
    always_online: true
  slash_commands:
    - command: /mailcfg{request_url}
      description: Look at, change and watch the e-mail sender
      usage_hint: {USAGE_HINT}
      should_escape: false
oauth_config:
  scopes:
    bot:
{scopes}
settings:
  interactivity:
    is_enabled: true{posted_to}
  event_subscriptions:{posted_to}
    bot_events:
{events}
  org_deploy_enabled: false
  token_rotation_enabled: false
  {transport}
  socket_mode_enabled: {str(url is None).lower()}
"""


def _listed(reasons: dict[str, str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}- {name}  # {reason}" for name, reason in reasons.items())
