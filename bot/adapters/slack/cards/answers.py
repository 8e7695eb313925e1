"""Private answers to commands: what one person asked, seen by that person only."""

from __future__ import annotations

from datetime import datetime

from slack_sdk.models.blocks import Block, DividerBlock, RichTextElement

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import (
    Rendered,
    ago,
    clock,
    code,
    escape,
    user,
    visible,
    when,
)
from bot.adapters.slack.cards.request import state_word
from bot.domain import findings
from bot.domain.change import ChangeRequest, State
from bot.domain.command import SUBCOMMANDS
from bot.domain.findings import Diagnosis, Role, Severity
from bot.domain.mail_config import MailConfig
from bot.domain.organisation import Organisation
from bot.domain.policy import ANYONE, Policy
from bot.domain.preflight import NAME_SERVERS_MAX
from bot.domain.report import (
    NOT_YET,
    explanation,
    groups,
    headline,
    record_to_publish,
)
from bot.domain.sentences import OUTSIDE, seen
from bot.domain.watched import CheckResult
from bot.errors import AlreadyOpen
from bot.ports import WatchState
from bot.services.check import Checked
from bot.services.look import Overview, Publishing, Standing


def sentence(mrkdwn: str) -> Rendered:
    """An answer of words only; what is quoted in it is escaped already."""
    return parts.rendered(mrkdwn, [parts.section(mrkdwn)])


def refusal(text: str) -> Rendered:
    """Why something was not done, in plain words."""
    return sentence(escape(text))


def already_open(error: AlreadyOpen, link: str | None) -> Rendered:
    """The refusal of a second request, with a link to the first."""
    return sentence(escape(str(error)) + (f" <{link}|Go to #{error.number}>" if link else ""))


def help_text(standing: Standing, organisation: Organisation) -> Rendered:
    """Usage with examples, what this person may do, and who can ask and approve."""
    rows = [f"`/mailcfg {row.usage}`\n{row.summary}" for row in SUBCOMMANDS]
    blocks: list[Block] = [
        parts.section(
            "*mailcfg* changes the sender of your organisation's Cliq notification mail, once "
            "other people have approved it."
        ),
        parts.section("\n".join(rows)),
        parts.section(_you(standing)),
        parts.section(_who(organisation.policy)),
        parts.context(
            "Emergency? Change it in the Cliq admin panel; mailcfg will report it and ask for "
            "acceptance.",
            escape(organisation.label),
        ),
    ]
    return parts.rendered("This is what you can type after /mailcfg, and what you may do.", blocks)


def _you(standing: Standing) -> str:
    may = [
        word
        for word, allowed in (
            ("look", standing.may_show),
            ("ask for changes", standing.may_propose),
            ("approve what others ask for", standing.may_approve),
        )
        if allowed
    ]
    words = ", ".join(may) if may else "do nothing here"
    return f"*You* may {words}. Your Slack id is {code(standing.facts.actor.user)}."


def _who(policy: Policy) -> str:
    if policy.watch_only:
        return "This deployment only watches: nobody can ask for changes."
    if ANYONE in policy.requesters:
        asks = "every full member, and the approvers"
    else:
        asks = _people((*policy.requesters, *policy.approvers))
    return f"*Can ask:* {asks}\n*Can approve:* {_people(policy.approvers)}, never their own request"


def _people(users: tuple[str, ...]) -> str:
    return ", ".join(user(u) for u in dict.fromkeys(users))


def show(overview: Overview) -> Rendered:
    """The live configuration, what was approved last, and when it was last checked."""
    live = overview.live
    blocks: list[Block] = [
        parts.section(_sender(live)),
        parts.context(_approved(overview), _checked(overview.watch)),
    ]
    if overview.is_drifted:
        blocks.insert(
            1, parts.section("*Changed outside approval:* this is not what was approved.")
        )
    what = parts.sender(live) if live else "Cliq's system sender"
    return parts.rendered(f"The live sender is {what}.", blocks)


def _sender(live: MailConfig | None) -> str:
    if live is None:
        return "*Cliq's system sender* is in use: no custom sender is set."
    return "\n".join(parts.field(name, live) for name in live.as_dict())


def _approved(overview: Overview) -> str:
    last = overview.approved
    if last is None:
        return "Nothing approved yet"
    by = ", ".join(user(decision.voter.user) for decision in last.approvals)
    return f"Approved last as #{last.number} by {by}, {when(last.ended_at)}"


def _checked(watch: WatchState) -> str:
    """How DKIM stood at the last pass, in one line; a later one that found nothing out says so."""
    last = watch.last_pass
    said = f"{escape(last.line)} · last checked {ago(last.at)}" if last.at else "Not checked yet"
    return f"{escape(last.unknown)} {said}" if last.unknown else said


def checked(check: CheckResult, ends_at: datetime | None) -> Rendered:
    """The answer to *Check again*: what is so now, what to do, and what becomes of the alert."""
    found = check.found
    said = [f"*{escape(headline(found))}*"]
    if said_more := explanation(found):
        said.append(escape(said_more))
    if not found.case.is_approved:
        said.append("What is live was changed outside approval.")
    if ends_at is not None:
        said.append(f"The alert is watched until {clock(ends_at)} and then ends, if it stays so.")
    return parts.rendered(escape(headline(found)), [parts.section("\n".join(said))])


def snoozed(until: datetime) -> Rendered:
    return sentence(
        f"Reminders of this alert are snoozed until {when(until)}. Whatever else happens to it is "
        "told."
    )


def check(checked: Checked) -> Rendered:
    """Everything that one pass found, without knowing any finding by name."""
    found = checked.diagnosis
    blocks = [
        *_changed_outside(found),
        parts.header(STATE_WORDS[found.state]),
        *_nothing_wrong(found),
        *_findings(found),
        *_to_publish(checked),
        parts.context(
            code(found.case.live.email_id) if found.case.live else "",
            f"Last checked {clock(checked.at)}, next {clock(checked.next_at)}",
        ),
    ]
    return parts.rendered(
        escape(visible(f"{headline(found)} {explanation(found)}".strip())), blocks
    )


STATE_WORDS = {
    findings.State.OK: "DKIM is in order",
    findings.State.BROKEN: "DKIM is broken",
    findings.State.PENDING: "DKIM is pending",
    findings.State.UNKNOWN: "DKIM could not be checked",
    findings.State.NOT_APPLICABLE: "Nothing to check",
}
SEVERITIES = {
    Severity.CRITICAL: "Critical",
    Severity.WARNING: "Warning",
    Severity.UNKNOWN: "Unknown",
    Severity.INFO: "Good to know",
}


def _changed_outside(found: Diagnosis) -> list[Block]:
    """What nobody approved comes first, with both ways out of it."""
    changed = found.of(Role.DRIFT)
    if not changed:
        return []
    evidence = [line for finding in changed for line in finding.evidence]
    return [
        parts.header(OUTSIDE),
        parts.rich(
            parts.prose(*(("", finding.sentence) for finding in changed), (TO_DO, changed[0].fix)),
            *([parts.bullets(evidence)] if evidence else []),
        ),
        parts.actions(
            "outside",
            [
                parts.button("restore", "Restore approved…", "check"),
                parts.button("accept", "Accept change…", "check"),
            ],
        ),
        DividerBlock(),
    ]


def _nothing_wrong(found: Diagnosis) -> list[Block]:
    """Where something is wrong, its finding says more than a headline could."""
    if found.state not in {findings.State.OK, findings.State.NOT_APPLICABLE}:
        return []
    return [parts.rich(parts.prose(("", headline(found))))]


def _findings(found: Diagnosis) -> list[Block]:
    """Each with its severity, what to do, and what was seen, unless that stands there already."""
    blocks: list[Block] = []
    shown: set[str] = set()
    for group in groups(found):
        first, said = group[0], " ".join(finding.sentence for finding in group)
        lines = [(f"{SEVERITIES[first.severity]}. ", said)]
        lines += [(TO_DO, first.fix)] if first.fix else []
        elements: list[RichTextElement] = [parts.prose(*lines)]
        fresh = [line for line in first.evidence if line not in shown]
        shown.update(fresh)
        elements += [parts.bullets(fresh)] if fresh else []
        blocks.append(parts.rich(*elements))
    held = [line for line in seen(found.case) if line not in shown]
    if held:
        blocks.append(parts.rich(parts.prose((HOLDS, "")), parts.bullets(held)))
    return blocks


def _to_publish(checked: Checked) -> list[Block]:
    record = record_to_publish(checked.diagnosis)
    if record is None:
        return []
    if checked.is_approved:
        return [parts.section("*The record to publish*"), *parts.record_blocks(record)]
    return [parts.section(f"*{NOT_YET}:* {NOT_APPROVED}"), *parts.record_blocks(record)]


TO_DO, HOLDS = "To do: ", "What each server holds"
NOT_APPROVED = "what is live was not approved."


def record(publishing: Publishing, *, shared_by: str | None = None) -> Rendered:
    """The DNS record in copyable form; shared, it is for the channel and says by whom."""
    found = publishing.record
    blocks: list[Block] = [parts.section(f"*DKIM record* for {code(found.name)}")]
    if shared_by is not None:
        blocks.append(parts.context(f"Shared by {user(shared_by)}"))
    if not publishing.is_approved:
        blocks.append(parts.section(f"*{NOT_YET}:* {NOT_APPROVED}"))
    blocks += parts.record_blocks(found)
    blocks.append(parts.context(_runs(publishing)))
    if shared_by is None:
        blocks.append(parts.actions("record", [parts.button("share", "Share here", "record")]))
    return parts.rendered(f"This is the DKIM record for {escape(found.name)}.", blocks)


def _runs(publishing: Publishing) -> str:
    """People edit at providers that no longer serve the zone."""
    if not publishing.name_servers:
        return "Which name servers run the zone could not be looked up."
    names = [code(name) for name in publishing.name_servers[:NAME_SERVERS_MAX]]
    return f"Publish it where the zone is run now: at {', '.join(names)}."


def proposed(request: ChangeRequest, link: str | None) -> Rendered:
    if link is None:
        return sentence(
            f"Request #{request.number} to {request.plan.title} is recorded, but its card is not "
            "posted yet. It will be, once Slack lets mailcfg post to the approval channel."
        )
    where = f"<{link}|#{request.number}>"
    needs = "1 approval" if request.quorum == 1 else f"{request.quorum} approvals"
    return sentence(
        f"Request {where} to {request.plan.title} is posted. It needs {needs} from "
        f"{_people(request.policy.approvers_for(request.requester))} before anything changes."
    )


def pending(request: ChangeRequest | None, link: str | None, needed: int = 0) -> Rendered:
    """The open request; `needed` approvals are asked for now, as many as then or more."""
    if request is None:
        return sentence("No request is open.")
    where = f"<{link}|#{request.number}>" if link else f"#{request.number}"
    word = state_word(request)
    given, until = len(request.approvals), _deadline(request)
    return sentence(
        f"Request {where} to {request.plan.title}, asked by {user(request.requester.user)}: "
        f"{word[0].lower()}{word[1:]}, {given} of {max(needed, request.quorum)} approvals"
        f"{', until ' + when(until) if until else ''}."
    )


def _deadline(request: ChangeRequest) -> datetime | None:
    """When a request ends by itself: once writing has begun, never."""
    if request.state is State.PENDING:
        return request.expires_at
    return request.apply_by if request.state is State.APPROVED else None
