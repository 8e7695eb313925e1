"""The page's server without a browser: who gets in, what is refused, what its files may hold."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.sandbox import world
from bot.sandbox.cliq.profile import PROFILES
from bot.sandbox.listening import listen
from bot.sandbox.page import server
from bot.sandbox.page.server import PageServer
from bot.sandbox.stage import Stage, open_stage

RECORD = {"name": "a.acme.example", "value": "x"}
TOKEN = "a-token-for-this-test"
STATIC = Path(server.__file__).with_name("static")


@dataclass
class FakeBot:
    is_running: bool = True
    log: list[str] = field(default_factory=list)

    async def start(self) -> None:
        self.is_running = True

    async def kill(self) -> None:
        self.is_running = False


@dataclass
class Visitor:
    """A browser's requests to one page."""

    session: aiohttp.ClientSession
    url: str

    async def get(self, path: str = "/", **headers: str) -> tuple[int, str]:
        async with self.session.get(
            self.url + path, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text()

    async def post(self, doing: str, given: Any = None, **headers: str) -> tuple[int, Any]:
        sent = {"Origin": self.url} | headers
        async with self.session.post(
            f"{self.url}/do/{doing}", json=given or {}, headers=sent
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def refusal(self, doing: str, given: Any = None) -> str:
        """The sentence with which this is refused."""
        status, answer = await self.post(doing, given)
        assert status == 409
        return str(answer["error"])


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    opened = await open_stage()
    yield opened
    await opened.close()


async def visiting(stage: Stage, token: str | None) -> AsyncIterator[Visitor]:
    page = PageServer(token, "show | set")
    page.show(stage, FakeBot())
    served = await listen(page.app, "127.0.0.1", 0)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Visitor(session, served.url)
    await served.close()


@pytest.fixture
async def visitor(stage: Stage) -> AsyncIterator[Visitor]:
    async for one in visiting(stage, None):
        yield one


@pytest.fixture
async def stranger(stage: Stage) -> AsyncIterator[Visitor]:
    async for one in visiting(stage, TOKEN):
        yield one


async def test_the_page_answers_with_a_strict_policy(visitor: Visitor) -> None:
    async with visitor.session.get(visitor.url) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy


async def test_another_sites_page_can_do_nothing_here(visitor: Visitor) -> None:
    status, _ = await visitor.get("/live", Origin="https://evil.example")
    assert status == 403
    async with visitor.session.post(
        f"{visitor.url}/do/kill_bot", json={}, headers={"Origin": "https://evil.example"}
    ) as answer:
        assert answer.status == 403
    async with visitor.session.post(f"{visitor.url}/do/kill_bot", json={}) as answer:
        assert answer.status == 403


async def test_a_name_that_points_to_this_machine_is_not_this_machine(visitor: Visitor) -> None:
    assert (await visitor.get(Host="rebound.example"))[0] == 403
    assert (await visitor.get(Host="localhost:9"))[0] == 200


async def test_without_the_token_nothing_is_shown(stranger: Visitor) -> None:
    assert await stranger.get() == (
        401,
        "This sandbox needs its token: open the address that it printed when it started.\n",
    )
    assert (await stranger.get("/?token=wrong"))[0] == 401
    assert (await stranger.get("/static/main.js"))[0] == 401


async def test_the_token_in_the_address_opens_the_page(stranger: Visitor) -> None:
    assert (await stranger.get(f"/?token={TOKEN}"))[0] == 303
    assert (await stranger.get())[0] == 200
    assert (await stranger.post("lift_lock"))[0] == 200


async def test_only_its_own_files_are_served(visitor: Visitor) -> None:
    assert (await visitor.get("/static/style.css"))[0] == 200
    assert (await visitor.get("/static/..%2fserver.py"))[0] == 404
    assert (await visitor.get("/static/nothing.js"))[0] == 404


@pytest.mark.parametrize(
    ("doing", "given", "sentence"),
    [
        ("command", {}, "`as` is missing; `text` is missing; `channel` is missing"),
        ("command", {"text": "x", "as": "U0NOBODY", "channel": "C1"}, "There is nobody with"),
        ("submit", {"as": "U0ALICE", "view": "V1"}, "`values` is missing"),
        ("advance", {"seconds": "1"}, "`seconds`: input should be a valid number"),
        ("advance", {"seconds": -1}, "The clock moves forwards, by a month at most."),
        ("advance", {"seconds": 1e40}, "The clock moves forwards, by a month at most."),
        ("publish", {}, "Cliq has no custom sender now, so there is no DKIM record."),
        ("fail_next", {"kind": "flood"}, "`flood` is no fault that can be planned."),
        ("fail_next", {"kind": "lock", "method": "HEAD"}, "`HEAD` is not among Cliq's methods."),
        ("switch", {"name": "throttle", "on": "yes"}, "The switch 'throttle' is true or false."),
        ("switch", {"name": "sticky", "on": True}, "There is no switch 'sticky'; there are err"),
        ("profile", {"profile": "dreamt"}, "There is no profile 'dreamt'; there are documented"),
        ("remove_record", {"name": "a.other.example", "type": "TXT"}, "a.other.example is not in"),
        ("put_record", RECORD | {"type": "NOPE"}, "'NOPE' is no DNS record type"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_sentence(
    visitor: Visitor, doing: str, given: dict[str, Any], sentence: str
) -> None:
    assert (await visitor.refusal(doing, given)).startswith(sentence)


async def test_cliq_behaves_as_its_profile_and_its_switches_say(
    visitor: Visitor, stage: Stage
) -> None:
    await visitor.post("profile", {"profile": "observed"})
    await visitor.post("switch", {"name": "sticky_email", "on": False})
    await visitor.post("switch", {"name": "retry_after", "on": True})

    expected = replace(PROFILES["observed"], sticky_email=False, retry_after=True)
    assert stage.cliq.state.switches == expected


async def test_what_is_no_json_object_is_refused(visitor: Visitor) -> None:
    assert await visitor.refusal("command", [1]) == "The body must be a JSON object."
    assert (await visitor.post("nonsense"))[0] == 404


async def test_a_page_is_sent_only_what_is_new(visitor: Visitor, stage: Stage) -> None:
    stage.workspace.say(world.BOB.id, world.ADMIN_CHANNEL, "first")
    async with visitor.session.ws_connect(
        f"{visitor.url}/live", headers={"Origin": visitor.url}
    ) as socket:
        await socket.send_json({"watch": [world.ALICE.id]})
        whole = (await socket.receive_json())["people"][world.ALICE.id]
        stage.workspace.say(world.BOB.id, world.ADMIN_CHANNEL, "second")
        fresh = (await socket.receive_json())["people"][world.ALICE.id]
    assert (whole["whole"], [m["text"] for m in whole["messages"]]) == (True, ["first"])
    assert (fresh["whole"], [m["text"] for m in fresh["messages"]]) == (False, ["second"])


async def test_nobody_is_sent_what_is_only_visible_to_another(
    visitor: Visitor, stage: Stage
) -> None:
    await stage.workspace.command(world.ALICE.id, "show")
    async with visitor.session.ws_connect(
        f"{visitor.url}/live", headers={"Origin": visitor.url}
    ) as socket:
        await socket.send_json({"watch": [world.ALICE.id, world.BOB.id]})
        people = (await socket.receive_json())["people"]
    assert [len(people[p.id]["messages"]) for p in (world.ALICE, world.BOB)] == [1, 0]


@pytest.mark.parametrize("file", sorted(STATIC.glob("*.js")), ids=lambda file: file.name)
def test_no_script_turns_text_into_markup(file: Path) -> None:
    code = file.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", code)


def test_the_page_asks_for_every_script_at_once() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    scripts = {file.name for file in STATIC.glob("*.js")}
    assert scripts == set(re.findall(r"/static/([a-z]+\.js)", page))
