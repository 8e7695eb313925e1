"""axe-core on what people look at: no violation of WCAG 2.2 A or AA, in light and in dark."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}


def violations(desk: Desk) -> list[str]:
    """Each with its rule and the first place where it is broken."""
    found = axe.Axe().run(desk.page, options=RULES).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]


@pytest.fixture(params=["light", "dark"])
def seen(request: pytest.FixtureRequest, open_desk: Any) -> Desk:
    """axe adds itself to the page, which the page's own policy forbids to everyone else."""
    return open_desk(color_scheme=request.param, bypass_csp=True, reduced_motion="reduce")


def test_the_first_paint(seen: Desk) -> None:
    assert violations(seen) == []


def test_an_open_card_and_its_confirm_dialog(seen: Desk) -> None:
    seen.left.type('set name="Scott F" reason="A shorter name"')
    seen.left.expect_card("Waiting for approval")
    assert violations(seen) == []
    seen.right.click("Approve request")
    assert violations(seen) == []


def test_a_form_with_an_error(seen: Desk) -> None:
    seen.left.type("set")
    seen.left.field("Address").fill("it@acme")
    seen.left.field("Reason").fill("A new start")
    seen.left.dialog.get_by_role("button", name="Ask").click()
    seen.left.dialog.locator(".error:not(:empty)").wait_for()
    assert violations(seen) == []


def test_the_drawer(seen: Desk) -> None:
    seen.open_drawer()
    seen.drawer.locator(".wire li").first.wait_for()
    assert violations(seen) == []
