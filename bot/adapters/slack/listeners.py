"""What comes in from Slack: each listener parses, calls a service, answers.

A vote or a withdrawal is committed before it is acknowledged. What has to wait for the API is
acknowledged first and goes on in a task that is kept and awaited at shutdown. Every answer is
private to the person, and no click is swallowed.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_sdk.models.views import View

from bot.adapters.slack.cards import alert as alert_cards
from bot.adapters.slack.cards import answers, forms, history
from bot.adapters.slack.cards import request as request_cards
from bot.adapters.slack.cards.parts import Rendered
from bot.adapters.slack.notifier import CHANNEL_GONE, Notifier
from bot.adapters.slack.pacer import POST
from bot.adapters.slack.team_check import TeamCheck
from bot.adapters.slack.workspace import SlackFault, Workspace
from bot.domain import alert
from bot.domain.change import ChangeRequest, VoteKind
from bot.domain.command import (
    Accept,
    Check,
    Command,
    Dns,
    Help,
    History,
    HistoryOf,
    Pending,
    Reset,
    Set,
    SetForm,
    Show,
    Undo,
    Withdraw,
    parse,
)
from bot.domain.mail_config import Patch
from bot.domain.organisation import Organisation
from bot.domain.policy import OTHER_TEAM, Actor
from bot.domain.typed import clean_reason
from bot.errors import (
    AlreadyOpen,
    BadValue,
    FarEndError,
    InputError,
    MailcfgError,
    OperatorError,
    UnknownRequest,
)
from bot.services.serving import Services

log = structlog.get_logger(__name__)

SNOOZES = dict(zip((value for value, _ in alert_cards.SNOOZES), alert.SNOOZES, strict=True))
"""For how long reminders are silenced, by what the menu of an alert calls it."""

Respond = Callable[..., Awaitable[Any]]
Ack = Callable[..., Awaitable[Any]]
Body = dict[str, Any]


class Listeners:
    """Everything that people can do, wired to the services."""

    def __init__(
        self,
        organisation: Organisation,
        workspace: Workspace,
        services: Services,
        notifier: Notifier,
    ) -> None:
        self._organisation = organisation
        self._workspace = workspace
        self._admission = services.admission
        self._changes = services.changes
        self._look = services.look
        self._checks = services.checks
        self._alerts = services.alerts
        self._notifier = notifier
        self._commit_seconds = organisation.timing.commit_budget.total_seconds()
        self._tasks: set[asyncio.Task[Any]] = set()

    def register(self, app: AsyncApp) -> None:
        """One listener of each kind: Bolt tries them in order, and each miss costs time."""
        TeamCheck(self._workspace, self.turn_away).register(app)
        anything = re.compile(".*", re.DOTALL)
        app.command(anything)(self.on_command)
        app.action(anything)(self.on_action)
        app.view(anything)(self.on_submission)

    async def finish(self, seconds: float) -> None:
        """Wait for what was acknowledged and is still being answered."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def turn_away(self, ack: Ack, body: Body) -> Any:
        """Tell somebody of another workspace, privately, why nothing was done."""
        action = str(body.get("command") or body["type"])
        refused = self._admission.turn_away(actor_of(body), action, OTHER_TEAM)
        said = await self._in_time(refused)
        if "command" in body:
            return await ack(**_private(said))
        if "response_url" in body:
            self._answer(self._responder(body), _as_is(said))
        return await ack()

    async def on_command(self, ack: Ack, body: Body) -> None:
        actor, respond = actor_of(body), self._responder(body)
        try:
            command = parse(body.get("text") or "")
        except InputError as error:
            await ack(**_private(answers.refusal(str(error))))
            return
        if isinstance(command, Withdraw):
            await ack(**_private(await self._in_time(self._withdraw(actor))))
        elif isinstance(command, SetForm):
            await ack()
            self._answer(respond, self._open_set_form(actor, body["trigger_id"]))
        else:
            await self._acknowledge(ack, command)
            self._answer(respond, self._carry_out(actor, command))

    async def _acknowledge(self, ack: Ack, command: Command) -> None:
        if isinstance(command, Show | Dns):
            await ack(text="Reading the live configuration…", response_type="ephemeral")
        elif isinstance(command, Check | Set | Reset | Accept | Undo):
            await ack(text="Checking…", response_type="ephemeral")
        else:
            await ack()

    async def _carry_out(self, actor: Actor, command: Command) -> Rendered:
        match command:
            case Show():
                return answers.show(await self._look.show(actor))
            case Check():
                return answers.check(await self._checks.check(actor))
            case Dns():
                return await self._record(actor)
            case Help():
                standing = await self._look.standing(actor)
                return answers.help_text(standing, self._organisation)
            case Pending():
                request = await self._look.pending(actor)
                link = await self._notifier.shown_again(request.id) if request else None
                needed = self._organisation.needed(request) if request else 0
                return answers.pending(request, link, needed)
            case History(count):
                return await self._history(actor, count)
            case HistoryOf(number):
                told = await self._look.story(actor, number)
                return history.story(told, await self._notifier.link(told.request.id))
            case Undo(number, reason):
                return await self._proposed(await self._changes.propose_undo(actor, number, reason))
            case Set() | Reset() | Accept():
                return await self._proposed(await self._changes.propose(actor, command))
            case SetForm() | Withdraw():
                raise AssertionError("answered before")

    async def _history(self, actor: Actor, count: int) -> Rendered:
        requests = await self._look.history(actor, count)
        links = await asyncio.gather(*(self._notifier.link(each.id) for each in requests))
        ids = (each.id for each in requests)
        return history.newest(requests, dict(zip(ids, links, strict=True)))

    async def _proposed(self, request: ChangeRequest) -> Rendered:
        return answers.proposed(request, await self._notifier.posted(request.id))

    async def _withdraw(self, actor: Actor, request_id: str | None = None) -> Rendered:
        request = await self._changes.withdraw(actor, request_id)
        return answers.sentence(f"Request #{request.number} is withdrawn; nothing was changed.")

    async def on_action(self, ack: Ack, body: Body) -> None:
        respond = self._responder(body)
        action = body["actions"][0]
        kind, value, actor = *_used(action), actor_of(body)
        match kind:
            case "check":
                await ack()
                self._answer(respond, self._check_again(actor))
            case "snooze":
                done = await self._in_time(self._snooze(actor, action))
                await ack()
                self._answer(respond, _as_is(done))
            case "record":
                await ack()
                self._answer(respond, self._record(actor))
            case "approve":
                done = await self._in_time(self._approve(actor, value))
                await ack()
                self._answer(respond, _as_is(done))
            case "withdraw":
                done = await self._in_time(self._withdraw(actor, value))
                await ack()
                self._answer(respond, _as_is(done))
            case "again":
                await ack()
                self._answer(respond, self._ask_again(actor, value))
            case "undo":
                await ack()
                self._answer(respond, self._ask_undo(actor, value))
            case "share":
                await ack()
                self._answer(respond, self._share(actor), response_type="in_channel")
            case "reject" | "details" | "accept" | "restore":
                await ack()
                self._answer(respond, self._open(kind, actor, body, value))
            case _:
                await ack()
                self._answer(respond, _as_is(answers.refusal(_OF_ANOTHER_VERSION)))

    async def _approve(self, actor: Actor, request_id: str) -> Rendered | None:
        request = await self._changes.decide(actor, request_id, VoteKind.APPROVE)
        given, needed = len(request.approvals), self._organisation.needed(request)
        return answers.sentence(
            f"Your approval of #{request.number} is recorded: {given} of {needed}."
        )

    async def _ask_again(self, actor: Actor, request_id: str) -> Rendered:
        return await self._proposed(await self._changes.propose_again(actor, request_id))

    async def _ask_undo(self, actor: Actor, request_id: str) -> Rendered:
        earlier = await self._found(actor, request_id)
        return await self._proposed(await self._changes.propose_undo(actor, earlier.number))

    async def _check_again(self, actor: Actor) -> Rendered:
        return answers.checked(*await self._alerts.check_again(actor))

    async def _snooze(self, actor: Actor, action: Body) -> Rendered:
        span = SNOOZES.get((action.get("selected_option") or {}).get("value", ""))
        if span is None:
            raise InputError("Choose for how long the reminders are to be silent.")
        incident_id = str(action.get("block_id", "")).removeprefix("alert-")
        return answers.snoozed(await self._alerts.snooze(actor, incident_id, span))

    async def _record(self, actor: Actor) -> Rendered:
        return answers.record(await self._look.record(actor))

    async def _share(self, actor: Actor) -> Rendered:
        return answers.record(await self._look.record(actor), shared_by=actor.user)

    async def _open(self, kind: str, actor: Actor, body: Body, value: str) -> None:
        """Open the modal that a button asks for; who may not go on is told so instead."""
        channel = (body.get("channel") or {}).get("id", "")
        match kind:
            case "reject":
                await self._changes.check_may_decide(actor, value, VoteKind.REJECT)
                request = await self._found(actor, value)
                view = forms.reject_note(request.number, request.plan.title, value)
            case "details":
                told = await self._look.story(actor, value)
                view = request_cards.details(told.request, self._organisation, told.head)
            case "accept":
                await self._changes.check_may_propose(actor)
                view = forms.accept_note(channel)
            case _:
                await self._changes.check_may_propose(actor)
                approved = await self._changes.baseline()
                config = approved.config if approved else None
                view = forms.restore_note(
                    channel, config.email_id if config else "Cliq's system sender"
                )
        await self._open_view(body["trigger_id"], view)

    async def _found(self, actor: Actor, request_id: str) -> ChangeRequest:
        request = await self._look.request(actor, request_id)
        if request is None:
            raise UnknownRequest
        return request

    async def _open_view(self, trigger_id: str, view: View) -> Any:
        return await self._workspace.call("views.open", trigger_id=trigger_id, view=view.to_dict())

    async def _open_set_form(self, actor: Actor, trigger_id: str) -> None:
        title = "Change the sender"
        opened = (await self._open_view(trigger_id, forms.loading(title)))["view"]
        try:
            live, sealed = await self._changes.sealed_base(actor)
            view = forms.set_form(live, sealed).to_dict()
        except Exception as error:
            view = forms.closing(title, self._report(error)).to_dict()
        await self._workspace.call(
            "views.update", view_id=opened["id"], hash=opened["hash"], view=view
        )

    async def on_submission(self, ack: Ack, body: Body) -> None:
        view, actor = body["view"], actor_of(body)
        typed = forms.values(view)
        match view["callback_id"]:
            case "set":
                await self._submit_set(ack, actor, typed, view["private_metadata"])
            case "reject":
                await self._submit_reject(ack, actor, typed, view["private_metadata"])
            case "accept" | "restore" as kind:
                await self._submit_wish(ack, actor, typed, kind, view["private_metadata"])
            case _:
                unknown = forms.closing("Nothing was done", _OF_ANOTHER_VERSION)
                await ack(response_action="update", view=unknown.to_dict())

    async def _submit_set(self, ack: Ack, actor: Actor, typed: dict[str, str], base: str) -> None:
        async def ask() -> View:
            reason = clean_reason(typed.pop("reason", ""))
            wish = Set(Patch.of(**typed), reason)
            request = await self._changes.propose_over(actor, wish, base)
            text = f"Request #{request.number} is posted for approval."
            return forms.closing("Change the sender", text)

        await self._submit(ack, ask())

    async def _submit_reject(
        self, ack: Ack, actor: Actor, typed: dict[str, str], metadata: str
    ) -> None:
        async def reject() -> None:
            request_id = str(json.loads(metadata)["request"])
            await self._changes.decide(actor, request_id, VoteKind.REJECT, typed.get("reason", ""))

        await self._submit(ack, reject())

    async def _submit(self, ack: Ack, work: Coroutine[Any, Any, View | None]) -> None:
        """Commit, then close the form; what is wrong is said beside its field."""
        task = self._start(self._outcome(work))
        done, _ = await asyncio.wait({task}, timeout=self._commit_seconds)
        await ack(**(task.result() if done else _beside("reason", _TOO_SLOW)))

    async def _outcome(self, work: Coroutine[Any, Any, View | None]) -> dict[str, Any]:
        """How the form is answered once `work` is done."""
        try:
            view = await work
        except Exception as error:
            field = error.field if isinstance(error, BadValue) else "reason"
            return _beside(field, forms.beside(self._report(error)))
        if view is None:
            return {"response_action": "clear"}
        return {"response_action": "update", "view": view.to_dict()}

    async def _submit_wish(
        self, ack: Ack, actor: Actor, typed: dict[str, str], kind: str, metadata: str
    ) -> None:
        try:
            reason = clean_reason(typed.get("reason"))
        except BadValue as error:
            await ack(response_action="errors", errors={"reason": forms.beside(str(error))})
            return
        await ack(response_action="clear")
        channel = str(json.loads(metadata)["channel"])

        async def respond(**content: Any) -> None:
            content = {key: content[key] for key in ("text", "blocks")}
            try:
                await self._workspace.call(
                    "chat.postEphemeral", channel=channel, user=actor.user, **content
                )
            except SlackFault as fault:
                if fault.error not in CHANNEL_GONE | {"user_not_in_channel"}:
                    raise
                # A command can be typed where mailcfg is no member, and so can this be clicked.
                plain = {"unfurl_links": False, "unfurl_media": False}
                await self._workspace.call(POST, channel=actor.user, **content, **plain)

        self._answer(respond, self._wish(actor, kind, reason))

    async def _wish(self, actor: Actor, kind: str, reason: str) -> Rendered:
        if kind == "restore":
            return await self._proposed(await self._changes.propose_restore(actor, reason))
        return await self._proposed(await self._changes.propose(actor, Accept(reason)))

    def _answer(
        self,
        respond: Respond,
        work: Coroutine[Any, Any, Rendered | None],
        response_type: str = "ephemeral",
    ) -> None:
        """Do `work` in a kept task and answer with what it gives; None is no answer."""

        async def answer() -> None:
            rendered, kind = None, response_type
            try:
                rendered = await work
            except Exception as error:
                rendered, kind = await self._excuse(error), "ephemeral"
            if rendered is not None:
                beside = {"response_type": kind, "replace_original": False}
                await respond(**_private(rendered) | beside)

        self._start(answer())

    async def _in_time(self, work: Coroutine[Any, Any, Rendered | None]) -> Rendered | None:
        """The answer of `work`, or what to say if it is not done before Slack gives up.

        It goes on behind that answer: what it commits will be on the card.
        """
        task = self._start(self._excused(work))
        done, _ = await asyncio.wait({task}, timeout=self._commit_seconds)
        return task.result() if done else answers.refusal(_TOO_SLOW)

    async def _excused(self, work: Coroutine[Any, Any, Rendered | None]) -> Rendered | None:
        """In the same task as `work`, so that what is logged carries the number of its change."""
        try:
            return await work
        except Exception as error:
            return await self._excuse(error)

    async def _excuse(self, error: BaseException) -> Rendered:
        """The sentence for a person; what an operator should know goes to the log with its id."""
        if isinstance(error, AlreadyOpen):
            open_request = await self._changes.pending()
            link = await self._notifier.link(open_request.id) if open_request else None
            return answers.already_open(error, link)
        return answers.refusal(self._report(error))

    def _report(self, error: BaseException) -> str:
        """What to say of an error in plain words; trouble is logged under the reference it ends in."""
        if isinstance(error, MailcfgError) and not isinstance(error, _TROUBLE):
            return str(error)
        reference = secrets.token_hex(3)
        log.error("could not be done", ref=reference, exc_info=_unless_expected(error))
        return f"{_words(error)} (ref `{reference}`)"

    def _responder(self, body: Body) -> Respond:
        """How to answer this interaction privately, without the bot being a member there."""

        async def respond(**content: Any) -> None:
            await self._workspace.respond(str(body["response_url"]), **content)

        return respond

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, SlackFault):
            log.warning("answer not delivered", method=error.method, error=error.error)
        elif error is not None and not isinstance(error, MailcfgError):
            log.error("task failed", exc_info=error)


_TROUBLE = (FarEndError, OperatorError, SlackFault)
_OF_ANOTHER_VERSION = "This is of another version of mailcfg, so nothing was done. `/mailcfg help` lists what there is."
_TOO_SLOW = "This takes longer than usual and is not recorded for sure; look at the card."


def _beside(field: str, sentence: str) -> dict[str, Any]:
    return {"response_action": "errors", "errors": {field: sentence}}


def _words(error: BaseException) -> str:
    if isinstance(error, MailcfgError) and not isinstance(error, SlackFault | OperatorError):
        return str(error)
    return "mailcfg could not do this because of a fault of its own. Try again, or ask whoever runs it."


def _unless_expected(error: BaseException) -> BaseException | None:
    return None if isinstance(error, FarEndError) else error


def _private(content: Rendered | None) -> dict[str, Any]:
    """An answer that only its addressee sees."""
    if content is None:
        return {}
    return {
        "text": content.text,
        "blocks": list(content.blocks),
        "response_type": "ephemeral",
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _used(action: Body) -> tuple[str, str]:
    """What somebody wants of which message: a button, or a choice from the menu behind the dots."""
    if action["action_id"] == "more":
        return str(action["selected_option"]["value"]), ""
    return action["action_id"], action.get("value") or ""


async def _as_is(content: Rendered | None) -> Rendered | None:
    return content


def actor_of(body: Body) -> Actor:
    """Who acts, from a command's or an interaction's payload."""
    if "user_id" in body:
        return Actor(team=body["team_id"], user=body["user_id"])
    person = body["user"]
    team = person.get("team_id") or (body.get("team") or {}).get("id") or ""
    return Actor(team=team, user=person["id"])
