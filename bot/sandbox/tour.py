"""The story, played by itself: each step does what a person would do, and checks what follows.

Every check waits for its condition and fails by name. The clock is moved where the story says that
time passes; nothing sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rich.console import Console, Group
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from bot.sandbox import world
from bot.sandbox.cliq.log import Write
from bot.sandbox.dns import mistakes
from bot.sandbox.dns.mistakes import Wanted
from bot.sandbox.slack.records import Message, PersonCannot
from bot.sandbox.stage import CHECK_EVERY, PATIENCE_SECONDS, Stage
from bot.sandbox.world import ALICE, BOB, CAROL, MALLORY, Person

NEW_ADDRESS = "it@mail.acme.example"
INTRUDER = "Accounts Payable"
WIDTH = 100

Found = TypeVar("Found")


@dataclass(frozen=True)
class Seen:
    """A message as one person sees it, for the transcript."""

    by: str
    where: str
    text: str


@dataclass(frozen=True)
class Step:
    """`act` is what somebody does, `checks` what must follow; each check has its sentence."""

    id: str
    does: str
    act: Callable[[], Awaitable[object]]
    checks: Sequence[tuple[str, Callable[[], Awaitable[Seen | None]]]]


class Failed(Exception):
    """A check of the tour did not hold."""


@dataclass
class Score:
    held: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)


class Tour:
    """One play on a lived-in stage.

    `skip` names a step whose action is left out; what then should not come is waited for
    `skip_seconds`, everything else as long as it takes.
    """

    def __init__(
        self,
        stage: Stage,
        console: Console,
        skip: str | None = None,
        *,
        skip_seconds: float = 1.0,
    ) -> None:
        self._stage = stage
        self._console = console
        self._skip = skip
        self._skip_seconds = skip_seconds
        self._patience_seconds = PATIENCE_SECONDS
        self._score = Score()
        self._writes_before = len(stage.cliq.writes())
        self._approved_writes: tuple[Write, ...] = ()
        self._began = stage.clock.now().timestamp()
        self._steps = self._story()

    @property
    def step_ids(self) -> list[str]:
        return [step.id for step in self._steps]

    async def play(self) -> bool:
        """Play to the end, or to the first check that fails; whether all held."""
        started = time.monotonic()
        self._console.print(Rule("mailcfg: a change of sender, from wish to proof", align="left"))
        for step in self._steps:
            if not await self._play_step(step):
                break
        self._tell_score(time.monotonic() - started)
        return not self._score.failed

    async def _play_step(self, step: Step) -> bool:
        self._console.print()
        self._console.print(Text(step.does, style="bold"))
        doing = "this can be done"
        try:
            if step.id == self._skip:
                self._patience_seconds = self._skip_seconds
            else:
                await step.act()
            for doing, holds in step.checks:
                self._tell_held(doing, await holds())
        except (TimeoutError, Failed, PersonCannot) as error:
            self._tell_failed(step, doing, error)
            return False
        return True

    def _tell_held(self, sentence: str, seen: Seen | None) -> None:
        self._score.held += 1
        if seen is not None:
            self._console.print(_panel(seen))
        self._console.print(Text(f"  ✓ {sentence}", style="green"))

    def _tell_failed(self, step: Step, sentence: str, error: Exception) -> None:
        self._score.failed.append(step.id)
        self._console.print(Text(f"  ✗ {sentence}", style="bold red"))
        self._console.print(Text(f"    Step “{step.id}” failed: {error}"))

    def _tell_score(self, seconds: float) -> None:
        score, writes = self._score, self._writes()
        unapproved = [write for write in writes if write not in self._approved_writes]
        if unapproved and "writes" not in score.failed:
            score.failed.append("writes")
        parts = [
            f"{score.held} checks held in {seconds:.1f} s",
            f"{len(writes)} write{'' if len(writes) == 1 else 's'} to Cliq",
            f"{score.refused} clicks refused",
            f"{len(unapproved)} unapproved effects",
        ]
        if score.failed:
            parts.insert(0, f"FAILED at “{score.failed[0]}”")
        self._console.print()
        self._console.print(Rule(style="dim"))
        self._console.print(Text(" · ".join(parts), style="bold red" if score.failed else "bold"))

    def _writes(self) -> list[Write]:
        return self._stage.cliq.writes()[self._writes_before :]

    def _story(self) -> list[Step]:
        show, ask = (
            "/mailcfg show",
            f'/mailcfg set email={NEW_ADDRESS} dkim=2048 reason="One sender for IT"',
        )
        reset = '/mailcfg reset reason="Back to the system sender"'
        return [
            Step(
                "show",
                f"Alice types {show}",
                lambda: self._type(ALICE, show),
                [("Alice alone sees the live sender", lambda: self._private(ALICE, "scott@acme"))],
            ),
            Step(
                "ask",
                f"Alice types {ask}",
                lambda: self._type(ALICE, ask),
                [
                    ("the request is posted, with its diff", lambda: self._card("0 of 2")),
                    ("Alice is told", lambda: self._private(ALICE, "It needs 2 approvals")),
                ],
            ),
            Step(
                "own-approval",
                "Alice clicks Approve on her own request",
                lambda: self._click(ALICE, "approve"),
                [
                    ("she is refused", lambda: self._refused(ALICE, "someone else must decide")),
                    ("nothing was counted", lambda: self._still("0 of 2")),
                ],
            ),
            Step(
                "guest",
                "Mallory, a guest, clicks Approve",
                lambda: self._click(MALLORY, "approve"),
                [
                    ("she is refused", lambda: self._refused(MALLORY, "You are a guest")),
                    ("nothing was counted", lambda: self._still("0 of 2")),
                ],
            ),
            Step(
                "bob",
                "Bob clicks Approve",
                lambda: self._click(BOB, "approve"),
                [("one of two approvals is there", lambda: self._card("1 of 2", show=False))],
            ),
            Step(
                "bob-again",
                "Bob clicks Approve once more",
                lambda: self._click(BOB, "approve"),
                [
                    ("he is refused", lambda: self._refused(BOB, "already approved")),
                    ("nothing was written yet", self._nothing_written),
                ],
            ),
            Step(
                "carol",
                "Carol clicks Approve",
                lambda: self._click(CAROL, "approve"),
                [
                    ("Cliq was written to once, as approved", self._written_as_approved),
                    ("the card says so after reading it back", lambda: self._card("In force")),
                    ("its thread has the record to publish", self._thread_has_record),
                    (
                        "a checklist there follows it to its end",
                        lambda: self._thread("Record not seen yet at"),
                    ),
                ],
            ),
            Step(
                "wrong-name",
                "The DNS owner publishes it, but types the zone twice in the name; two checks pass",
                self._publish_wrongly,
                [("an alert says where it stands, and where it should", self._alert_with_record)],
            ),
            Step(
                "publish",
                "The DNS owner corrects the name; the next check comes",
                self._publish,
                [
                    ("the checklist is complete", lambda: self._thread("Done, ")),
                    ("Alice is told", self._requester_told),
                ],
            ),
            Step(
                "resolved",
                "An hour passes, and it stays right",
                lambda: self._checks(5),
                [("the alert turns resolved", lambda: self._alert("Resolved: DKIM of it@mail"))],
            ),
            Step(
                "outside",
                f"Somebody edits the display name in Cliq's admin panel: {INTRUDER}",
                self._edit,
                [
                    (
                        "it is reported as a change outside approval",
                        lambda: self._alert("Changed outside approval"),
                    )
                ],
            ),
            Step(
                "reset",
                f"Alice types {reset}",
                lambda: self._type(ALICE, reset),
                [("the request says what is lost", lambda: self._card("key is lost"))],
            ),
            Step(
                "reject",
                "Carol clicks Reject…, writes why, and submits",
                self._reject,
                [
                    ("the request is rejected, with the reason", lambda: self._card("Rejected")),
                    ("the sender is as it was", self._sender_kept),
                ],
            ),
        ]

    async def _type(self, who: Person, line: str) -> None:
        await self._stage.workspace.command(who.id, line.removeprefix("/mailcfg "))

    async def _click(self, who: Person, action: str) -> None:
        card = self._stage.card("Waiting for approval")
        if card is None:
            raise Failed("there is no request to click on")
        await self._stage.workspace.click(who.id, card.channel, card.ts, action)

    async def _checks(self, times: int) -> None:
        for _ in range(times):
            await self._stage.pass_time(CHECK_EVERY)

    async def _publish_wrongly(self) -> None:
        mistakes.make(self._stage.dns, self._wanted(), "doubled")
        await self._checks(2)

    async def _publish(self) -> None:
        mistakes.publish(self._stage.dns, self._wanted())
        await self._checks(1)

    def _wanted(self) -> Wanted:
        live = self._stage.cliq.configuration
        if live is None:
            raise Failed("Cliq has no custom sender")
        return Wanted(live["dkim_host"], live["dkim_value"])

    async def _edit(self) -> None:
        self._stage.cliq.edit(name=INTRUDER)
        await self._stage.pass_time(CHECK_EVERY)

    async def _reject(self) -> None:
        await self._click(CAROL, "reject")
        workspace = self._stage.workspace
        view = await self._until(lambda: workspace.open_view(CAROL.id), "a form for Carol")
        await workspace.submit(CAROL.id, view.id, {"reason": "Customers know this address"})

    async def _until(self, seen: Callable[[], Found | None], what: str) -> Found:
        return await self._stage.until(seen, what, self._patience_seconds)

    async def _said(self, shown: Callable[[], Sequence[Message]], words: str, what: str) -> Message:
        """The newest of the messages that are shown in which these words are."""

        def newest() -> Message | None:
            return next((m for m in reversed(shown()) if words in self._stage.read(m)), None)

        return await self._until(newest, what)

    async def _private(self, who: Person, words: str, *, show: bool = True) -> Seen | None:
        """What only `who` sees, with these words in it."""
        workspace = self._stage.workspace

        found = await self._said(
            lambda: [m for m in workspace.sees(who.id, world.ADMIN_CHANNEL) if m.ephemeral_to],
            words,
            f"a private answer to {who.real_name}: “{words}”",
        )
        others = [p for p in world.PEOPLE if p is not who]
        if any(found in workspace.sees(p.id, world.ADMIN_CHANNEL) for p in others):
            raise Failed("other people can see it as well")
        where = f"{_place(found.channel)}, only visible to {who.name}"
        return Seen(who.real_name, where, self._stage.read(found)) if show else None

    async def _refused(self, who: Person, words: str) -> Seen | None:
        seen = await self._private(who, words)
        self._score.refused += 1
        return seen

    async def _card(self, words: str, *, show: bool = True) -> Seen | None:
        card = await self._until(lambda: self._newest(words), f"a request card that says “{words}”")
        return self._public(card) if show else None

    async def _still(self, words: str) -> None:
        if self._newest(words) is None:
            raise Failed(f"the card no longer says “{words}”")

    def _newest(self, words: str) -> Message | None:
        """The newest card, if it has these words: an older one would prove nothing."""
        newest = self._stage.card("#")
        return newest if newest and words in self._stage.read(newest) else None

    async def _alert(self, words: str) -> Seen | None:
        def alert() -> Message | None:
            """An alert of this play: a lived-in channel has older ones with the same words."""
            found = self._stage.card(words, world.ALERT_CHANNEL)
            return found if found and float(found.ts) >= self._began else None

        return self._public(await self._until(alert, f"an alert that says “{words}”"))

    async def _alert_with_record(self) -> Seen | None:
        seen = await self._alert("DKIM broken: published at the wrong name")
        if seen is None or self._wanted().value not in seen.text:
            raise Failed("the alert does not hold the record that Zoho asks for")
        return seen

    async def _thread(self, words: str) -> Seen | None:
        """A line in the thread of the change, as it is by now."""
        card = self._newest("In force")
        if card is None:
            raise Failed("the change is not in force")

        said = f"a line in its thread that says “{words}”"
        found = await self._said(lambda: self._stage.thread(card), words, said)
        return Seen("Everybody", "in the thread of the request", self._stage.read(found))

    async def _requester_told(self) -> Seen | None:
        workspace = self._stage.workspace
        channel = workspace.state.dm_with(ALICE.id).id
        found = await self._said(
            lambda: [m for m in workspace.sees(ALICE.id, channel) if float(m.ts) >= self._began],
            "Done:",
            "a direct message to Alice",
        )
        return Seen(ALICE.real_name, "a direct message", self._stage.read(found))

    async def _thread_has_record(self) -> None:
        await self._thread(self._wanted().value)

    async def _nothing_written(self) -> None:
        if self._writes():
            raise Failed("Cliq was written to before the second approval")

    async def _written_as_approved(self) -> None:
        await self._until(lambda: self._newest("In force"), "the change in force")
        writes = self._writes()
        if [write.method for write in writes] != ["PUT"]:
            raise Failed(f"there were {len(writes)} writes")
        if (writes[0].body or {}).get("email_id") != NEW_ADDRESS:
            raise Failed("another address was written than was approved")
        self._approved_writes = tuple(writes)

    async def _sender_kept(self) -> None:
        live = self._stage.cliq.configuration
        if live is None or live["email_id"] != NEW_ADDRESS:
            raise Failed("the sender was removed")

    def _public(self, message: Message) -> Seen:
        return Seen("Everybody", _place(message.channel), self._stage.read(message))


def _place(channel: str) -> str:
    return "#" + next(place.name for place in world.PLACES if place.id == channel)


def _panel(seen: Seen) -> Panel:
    lines = [_styled(number, line) for number, line in enumerate(seen.text.splitlines())]
    title = f"{seen.by} · {seen.where}"
    return Panel(Group(*lines), title=title, title_align="left", border_style="dim", padding=(0, 1))


def _styled(number: int, line: str) -> Text:
    """Headlines, buttons and labels stand out; nothing is said by colour alone."""
    text = Text(line, overflow="fold", style="bold" if number == 0 else "")
    text.highlight_regex(r"^[A-Z][\w ]{2,24}:(?= )", "bold")
    text.highlight_regex(r"\[[A-Z][^\]]+\]", "reverse")
    text.highlight_regex(r"@\w+", "cyan")
    return text
