"""axe-core looks at every page of the room, in light and in dark, and finds nothing serious."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from .running_room import RunningRoom

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROLES = ("facilitator", "analyst", "lead", "executive")
RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map(v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html + " " + n.failureSummary)]);
}"""


def serious(page: Page, axe: str) -> list[object]:
    """Violations that keep somebody from using the page."""
    page.evaluate(f"() => {{ {axe} }}")
    found = page.evaluate(RUN)
    return [violation for violation in found if violation[0] in ("serious", "critical")]


@pytest.fixture(scope="module", params=["light", "dark"])
def seats(request: pytest.FixtureRequest, chromium: Browser, playing: RunningRoom) -> Iterator[dict[str, Page]]:
    """Everybody, in browsers that let axe into pages whose policy refuses scripts from outside."""
    contexts = {role: chromium.new_context(bypass_csp=True, color_scheme=request.param) for role in ROLES}
    yield {role: playing.seat(chromium, role, role.capitalize(), context) for role, context in contexts.items()}
    for context in contexts.values():
        context.close()


def headings(page: Page) -> list[int]:
    return page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_page_is_accessible_with_everything_unfolded(seats: dict[str, Page], role: str, axe: str) -> None:
    page = seats[role]
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert serious(page, axe) == []
    levels = headings(page)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("role", ["facilitator", "lead"])
def test_a_case_and_the_page_of_everything_are_accessible(seats: dict[str, Page], role: str, axe: str) -> None:
    page = seats[role].context.new_page()
    uid = seats[role].eval_on_selector("#alerts li", "item => item.id").removeprefix("alert-")
    base = seats[role].url.rstrip("/")
    for path in (f"/case/{uid}", "/all", "/nothing-there"):
        page.goto(base + path)
        assert serious(page, axe) == [], path
    page.close()


def test_the_door_is_accessible_also_when_it_refuses(seats: dict[str, Page], playing: RunningRoom, axe: str) -> None:
    page = seats["lead"].context.new_page()
    page.goto(playing.address)
    assert serious(page, axe) == []
    page.fill("#code", "wrong")
    page.fill("#name", "Eve")
    page.get_by_role("button", name="Join").click()
    page.wait_for_selector("[role=alert]")
    assert serious(page, axe) == []
    page.close()


def test_a_room_reflows_on_a_narrow_screen_without_sideways_scrolling(seats: dict[str, Page]) -> None:
    for page in seats.values():
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.set_viewport_size({"width": 1280, "height": 900})


def test_after_the_exercise_review_feedback_and_report_are_accessible(
    chromium: Browser, room: RunningRoom, axe: str
) -> None:
    contexts = {role: chromium.new_context(bypass_csp=True) for role in ("facilitator", "lead")}
    boss = room.seat(chromium, "facilitator", "Freya", contexts["facilitator"])
    lead = room.seat(chromium, "lead", "Grace", contexts["lead"])
    boss.get_by_role("button", name="Start the exercise").click()
    boss.get_by_text("End the exercise").click()
    boss.get_by_role("button", name="End it now").click()
    boss.wait_for_selector("#after section")
    for page, paths in ((boss, ("/facilitator/", "/facilitator/review", "/facilitator/report")),
                        (lead, ("/lead/", "/lead/feedback"))):  # fmt: skip
        for path in paths:
            page.goto(room.address + path)
            assert serious(page, axe) == [], path
    for context in contexts.values():
        context.close()
