"""The vocabulary in which `blocks` says what Slack refuses: a rule looks at one value and reports
what is wrong with it and where; a Shape is the rules of an object's fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Rule = Callable[["Report", Any, str], None]
_KINDS = """
alert call card carousel checkboxes context_actions file image markdown plan table task_card video
channels_select conversations_select datetimepicker external_select feedback_buttons file_input icon_button
multi_channels_select multi_conversations_select multi_external_select multi_static_select
multi_users_select number_input rich_text_input timepicker url_text_input workflow_button
broadcast channel color date emoji team user usergroup
"""
_FIELDS = """
border clear_on_close default_to_current_conversation dispatch_action dispatch_action_config expand
external_id filter focus_on_load indent max_value min_value notify_on_close offset option_groups
response_url_enabled submit_disabled
"""
KINDS_NOT_EMULATED, FIELDS_NOT_EMULATED = frozenset(_KINDS.split()), frozenset(_FIELDS.split())
"""What Slack has and this emulator has not."""


@dataclass
class Report:
    """The problems found so far, each with the place as a JSON pointer."""

    problems: list[str] = field(default_factory=list)

    def refuse(self, problem: str, at: str) -> None:
        self.problems.append(f"{problem} [json-pointer:{at}]")


@dataclass(frozen=True)
class Shape:
    """An object with these fields and no others."""

    required: Mapping[str, Rule]
    optional: Mapping[str, Rule] = field(default_factory=dict)

    def __call__(self, report: Report, value: Any, at: str) -> None:
        if not isinstance(value, dict):
            report.refuse("must provide an object", at)
            return
        for name in self.required:
            if name not in value:
                report.refuse(f"missing required field: {name}", at)
        for name, part in value.items():
            rule = self.required.get(name) or self.optional.get(name)
            if rule is None:
                is_known = name in FIELDS_NOT_EMULATED
                problem = "not emulated" if is_known else "invalid additional property"
                report.refuse(f"{problem}: {name}", at)
            else:
                rule(report, part, f"{at}/{name}")


def text_of(most: int, least: int = 1) -> Rule:
    """A string of `least` to `most` characters."""

    def rule(report: Report, value: Any, at: str) -> None:
        if not isinstance(value, str):
            report.refuse("must be a string", at)
        elif len(value) > most:
            report.refuse(f"must be less than {most + 1} characters", at)
        elif len(value) < least:
            report.refuse(f"must be more than {least - 1} characters", at)

    return rule


def list_of(item: Rule, most: int, least: int = 1) -> Rule:
    def rule(report: Report, value: Any, at: str) -> None:
        if not isinstance(value, list):
            report.refuse("must provide an array", at)
            return
        if len(value) > most:
            report.refuse(f"no more than {most} items allowed", at)
        if len(value) < least:
            report.refuse(f"no less than {least} items allowed", at)
        for index, each in enumerate(value):
            item(report, each, f"{at}/{index}")

    return rule


def one_of(*allowed: str) -> Rule:
    def rule(report: Report, value: Any, at: str) -> None:
        if value not in allowed:
            report.refuse(f"must be one of: {', '.join(allowed)}", at)

    return rule


def matching(pattern: str, problem: str) -> Rule:
    def rule(report: Report, value: Any, at: str) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            report.refuse(problem, at)

    return rule


def number_of(least: int, most: int) -> Rule:
    def rule(report: Report, value: Any, at: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            report.refuse("must be an integer", at)
        elif not least <= value <= most:
            report.refuse(f"must be between {least} and {most}", at)

    return rule


def boolean(report: Report, value: Any, at: str) -> None:
    if not isinstance(value, bool):
        report.refuse("must be a boolean", at)


def anything(report: Report, value: Any, at: str) -> None:
    """A part that this emulator hands on without looking."""


def by_type(shapes: Mapping[str, Rule], *, among: Iterable[str] = ()) -> Rule:
    """An object whose `type` picks its shape; `among` narrows the types allowed here."""
    allowed = set(among) or set(shapes)

    def rule(report: Report, value: Any, at: str) -> None:
        if not isinstance(value, dict):
            report.refuse("must provide an object", at)
        elif "type" not in value:
            report.refuse("missing required field: type", at)
        elif not isinstance(value["type"], str) or value["type"] not in allowed:
            is_known = str(value["type"]) in KINDS_NOT_EMULATED
            problem = "not emulated" if is_known else "unsupported type"
            report.refuse(f"{problem}: {value['type']}", f"{at}/type")
        else:
            shapes[value["type"]](report, value, at)

    return rule


def every(*rules: Rule) -> Rule:
    def rule(report: Report, value: Any, at: str) -> None:
        for each in rules:
            each(report, value, at)

    return rule
