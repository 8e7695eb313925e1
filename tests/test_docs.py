"""What the README, the manifest and the drawings promise, held against the code."""

import calendar
import re
from pathlib import Path

import pytest
import yaml

from bot import settings
from bot.__main__ import cli
from bot.adapters.slack import manifest
from bot.domain.command import SUBCOMMANDS
from bot.sandbox import run
from bot.sandbox.slack import blocks
from bot.sandbox.slack.methods import METHODS
from bot.sandbox.slack.rules import FIELDS_NOT_EMULATED, KINDS_NOT_EMULATED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EMULATORS = (ROOT / "docs" / "emulators.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(python3 -m venv .*)$", README, flags=re.MULTILINE)
SCOPE_OF = {
    "auth.test": None,
    "chat.getPermalink": None,
    "chat.postEphemeral": "chat:write",
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "conversations.info": "channels:read groups:read",
    "usergroups.users.list": "usergroups:read",
    "users.info": "users:read",
    "views.open": None,
    "views.update": None,
}
"""Slack's method pages: the scopes that each method needs, if any."""


def test_the_first_screen_has_the_promise_and_the_two_commands():
    first = README[:2000]
    assert "Nobody can change your company's mail sender alone" in first
    assert [command in first for command in COMMANDS] == [True, True]


def test_ci_runs_the_test_command_word_for_word():
    assert f"\n{COMMANDS[1]}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_settings_table_is_the_settings():
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*) \|$", SETTINGS, flags=re.MULTILINE)
    assert rows == [
        (name, f"`{default}`" if default else "", sentence)
        for name, (default, sentence) in settings.variables().items()
    ]


@pytest.mark.parametrize("usage", [row.usage for row in SUBCOMMANDS])
def test_every_subcommand_is_in_the_readme(usage: str):
    assert f"`/mailcfg {usage}`" in README


def test_the_readme_is_read_in_five_minutes():
    assert README.count("\n") <= 170


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, heading = link.partition("#")
        if file.startswith("http"):
            continue
        target = page.parent / file if file else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(errors="ignore"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings}
        assert not heading or heading in anchors, link


@pytest.mark.parametrize("file", PAGES, ids=lambda page: page.name)
def test_every_command_line_that_is_shown_exists(file: Path):
    page = file.read_text(encoding="utf-8")
    groups = {group.name: group.typer_instance for group in cli.registered_groups}
    known = {(c.name or c.callback.__name__) for c in cli.registered_commands}
    known |= {
        f"{name} {c.name}" for name, group in groups.items() for c in group.registered_commands
    }
    command = r"mailcfg ((?:(?:emulate|audit) )?[a-z]+)"
    typed = "\n".join(page.split("```")[1::2])
    named = set(re.findall(rf"^(?:.*-- |.*bin/|\$ )?{command}", typed, flags=re.MULTILINE))
    named |= set(re.findall(rf"`(?:\.venv/bin/)?{command}", page))
    assert named <= known


def test_the_house_in_its_plan_is_the_house_as_it_stands():
    plan = ARCHITECTURE.split("```")[1]
    drawn = set(re.findall(r"(?<=\s)([a-z_]+\.py)(?=[\s,])", plan))
    standing = {
        file.name
        for file in (ROOT / "bot").rglob("*.py")
        if file.name != "__init__.py" and "versions" not in file.parts
    }
    assert drawn == standing - {"env.py"}


def test_what_is_emulated_of_slack_and_what_is_not_is_written_down():
    _, emulated, missing = re.split(r"^## What is (?:emulated|not)$", EMULATORS, flags=re.MULTILINE)
    kinds = {*METHODS, *blocks.BLOCKS, *blocks.ACTIONS, *blocks.TEXT_ENTRIES, *blocks.RICH_WORDS}
    assert {name for name in kinds if f"`{name}`" not in emulated} == set()
    assert {
        name for name in KINDS_NOT_EMULATED | FIELDS_NOT_EMULATED if f"`{name}`" not in missing
    } == set()


def test_the_manifest_file_is_what_the_command_prints():
    assert (ROOT / "manifest.yml").read_text(encoding="utf-8") == manifest.for_socket_mode()


def test_both_manifests_are_within_slacks_limits():
    for text in (manifest.for_socket_mode(), manifest.for_http("https://mailcfg.example.com")):
        app = yaml.safe_load(text)
        command = app["features"]["slash_commands"][0]
        assert len(app["display_information"]["name"]) <= 35
        assert len(app["display_information"]["description"]) <= 140
        assert len(command["usage_hint"]) <= 1000
        assert app["oauth_config"]["scopes"]["bot"] == list(manifest.SCOPES)


def test_http_and_socket_mode_differ_in_the_transport_only():
    socket = yaml.safe_load(manifest.for_socket_mode())
    http = yaml.safe_load(manifest.for_http("https://mailcfg.example.com"))
    assert socket["settings"].pop("socket_mode_enabled") is True
    assert http["settings"].pop("socket_mode_enabled") is False
    url = "https://mailcfg.example.com/slack/events"
    assert http["settings"]["interactivity"].pop("request_url") == url
    assert http["settings"]["event_subscriptions"].pop("request_url") == url
    assert http["features"]["slash_commands"][0].pop("url") == url
    assert socket == http


def test_the_scopes_are_exactly_those_of_the_methods_that_are_called():
    adapter = "\n".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "bot/adapters/slack").rglob("*.py")
    )
    families = "auth|chat|usergroups|users|views|conversations"
    called = set(re.findall(rf'"((?:{families})\.[A-Za-z.]+)"', adapter))
    needed = {scope for method in called for scope in (SCOPE_OF[method] or "").split()}
    assert needed | {"commands"} == {*manifest.SCOPES, *manifest.GROUP_SCOPES}


def test_a_usergroup_needs_one_more_scope_and_its_events():
    plain = yaml.safe_load(manifest.for_socket_mode())
    grouped = yaml.safe_load(manifest.for_socket_mode(groups=True))
    few, more = (app["oauth_config"]["scopes"]["bot"] for app in (plain, grouped))
    assert set(more) - set(few) == {"usergroups:read"}
    told, of_groups = (
        app["settings"]["event_subscriptions"]["bot_events"] for app in (plain, grouped)
    )
    assert told == ["app_uninstalled", "tokens_revoked"]
    assert of_groups == [*told, "subteam_members_changed", "subteam_updated"]


async def test_the_drawing_of_the_tour_is_what_the_tour_prints(tmp_path: Path):
    assert await run.play_tour(transport="socket", svg=tmp_path / "tour.svg") == 0
    drawn = (ROOT / "docs" / "tour.svg").read_text(encoding="utf-8")
    assert words_of(drawn) == words_of((tmp_path / "tour.svg").read_text(encoding="utf-8"))


def words_of(svg: str) -> list[str]:
    """The plain words of a drawing: keys, times, ports and dates differ from play to play."""
    text = " ".join(re.findall(r"<text[^>]*>(.*?)</text>", svg)).replace("&#160;", " ")
    words = (word.strip(".,:;()[]“”") for word in text.split())
    return [
        w for w in words if re.fullmatch(r"[a-z]+|[A-Z][a-z]+|DKIM|CNAME|TXT", w) and w not in DAYS
    ]


DAYS = {"today", "yesterday", "tomorrow", "at", "second", "seconds"} | set(calendar.month_abbr)
