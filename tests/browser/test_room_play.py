"""A facilitator and two players in browsers of their own play a short exercise to its report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .running_room import PATIENCE_MS, RunningRoom, live

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECRETS = ("poisoned", "Attack", "look-alike", "The attack", "hidden half", "Audits.", "What do we know?")


def clock(page: Page) -> str:
    return page.inner_text("#clock time") + page.inner_text("#clock .beside")


def answer(page: Page) -> str:
    page.wait_for_selector("#answer p")
    return page.inner_text("#answer")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def wait_for(page: Page, selector: str, words: str) -> None:
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)", arg=[selector, words]
    )


def said(page: Page, text: str) -> None:
    """Waits until the answer to a form is there."""
    wait_for(page, "#answer", text)


def test_an_exercise_is_played_to_its_report(chromium: Browser, room: RunningRoom) -> None:
    from playwright.sync_api import expect

    boss = room.seat(chromium, "facilitator", "Freya")
    ada = room.seat(chromium, "analyst", "Ada")
    lead = room.seat(chromium, "lead", "Grace")
    faults: list[str] = []
    for page in (boss, ada, lead):
        page.on("pageerror", lambda error: faults.append(str(error)))

    # Everybody starts at the same moment, and nobody loads a page again.
    expect(ada.locator("#clock")).to_contain_text("Not begun")
    press(boss, "Start the exercise")
    for page in (boss, ada, lead):
        expect(page.locator("#clock")).to_contain_text("Running")
    press(boss, "Pause")
    expect(ada.locator("#clock")).to_contain_text("Paused")

    # Alerts arrive by themselves, and a screen reader is told of them.
    while not ada.locator("#alerts li").count():
        press(boss, "To the next event")
        said(boss, "moved on")
        ada.wait_for_timeout(300)
    expect(ada.locator("#said")).to_contain_text("New alert")
    assert boss.locator("#hidden li").count() + boss.locator("#alerts li").count() > 0

    # A case: what the team asks costs time, and its answer appears where somebody is half through a sentence.
    ada.locator("#alerts .title").first.click()
    ada.wait_for_url("**/analyst/case/*")
    live(ada)
    known = ada.locator("#evidence li").count()
    ada.get_by_label("Reason", exact=True).fill("half a sent")
    press(ada, "Ask")
    said(ada, "Asks")
    press(boss, "+ 10 min")
    expect(ada.locator("#evidence li")).to_have_count(known + 1)
    assert ada.get_by_label("Reason", exact=True).input_value() == "half a sent"
    ada.get_by_label("Escalate").check()
    press(ada, "Decide")
    expect(ada.locator("#standing")).to_contain_text("Escalated by Ada")
    expect(boss.locator("#alerts")).to_contain_text("Team: escalated")
    assert ada.get_by_label("Reason", exact=True).input_value() == ""

    # The lead's connection goes; meanwhile there is a call, and time passes.
    lead.get_by_text("Write a note for the team").click()
    lead.get_by_label("Note", exact=True).fill("unfinished")
    lead.context.set_offline(True)
    lead.wait_for_selector("body[data-connection=lost]")
    expect(lead.locator(".lost")).to_be_visible()
    boss.get_by_text("Write one of your own").click()
    boss.get_by_role("checkbox", name="SOC lead").check()
    boss.get_by_label("Text").fill("The board wants to know <what> is closed.")
    press(boss, "Hand it over")
    said(boss, "Inject for lead")
    press(boss, "+ 1 h")
    said(boss, "moved on")
    before = clock(lead)
    lead.context.set_offline(False)
    live(lead)
    wait_for(lead, "#notices", "The board wants to know <what> is closed.")
    assert clock(lead) == clock(boss) != before
    assert lead.get_by_label("Note", exact=True).input_value() == "unfinished"
    expect(lead.locator(".lost")).to_be_hidden()

    # What the model dismissed is found by those who look for it.
    press(boss, "+ 1 h")
    press(boss, "+ 1 h")
    expect(boss.locator("#hidden")).to_contain_text("Attack: read")
    lead.get_by_text("Pull dismissed alerts").click()
    lead.get_by_label("Of this account").fill("alice")
    press(lead, "Pull them")
    said(lead, "Pulls 10 dismissed alerts of alice")
    press(boss, "+ 1 h")
    expect(lead.locator("#alerts")).to_contain_text("Model dismissed it")
    lead.get_by_text("Replace the triage model").click()
    lead.locator("#s-reason").fill("It is blind.")
    press(lead, "Replace it")
    expect(lead.locator("#situation")).to_contain_text("Being replaced")

    # The end, and the report.
    boss.get_by_text("End the exercise").click()
    press(boss, "End it now")
    expect(lead.locator("#after")).to_contain_text("The facilitator is preparing")
    boss.get_by_role("link", name="Edit the after-action report").click()
    live(boss)
    boss.get_by_role("textbox", name="Summary").fill("They looked, and they found it.")
    boss.get_by_role("textbox", name="What", exact=True).first.fill("Nobody audits on Mondays")
    boss.get_by_label("It is final, and the players may read it").check()
    press(boss, "Keep it")
    said(boss, "can read the report now")
    lead.get_by_role("link", name="The after-action report").click()
    expect(lead.locator("body")).to_contain_text("They looked, and they found it.")
    expect(lead.locator("body")).to_contain_text("Nobody audits on Mondays")
    assert faults == []


@pytest.mark.parametrize("role", ["analyst", "executive"])
def test_nothing_that_a_browser_receives_tells_a_player_the_truth(
    chromium: Browser, playing: RunningRoom, role: str
) -> None:
    player = playing.seat(chromium, role, "Percy")
    texts: list[str] = []
    player.on("response", lambda response: texts.append(f"{response.status} {response.url}"))
    cases = [
        item.removeprefix("alert-")
        for item in player.eval_on_selector_all("#alerts li", "items => items.map(i => i.id)")
    ]
    seen, waiting = {""}, [f"/{role}/", *(f"/{role}/case/{uid}" for uid in cases)]
    while waiting:
        path = waiting.pop()
        if path in seen or "/live" in path or path.startswith("/static"):
            continue
        seen.add(path)
        player.goto(playing.address + path)
        texts.append(player.content())
        waiting += player.evaluate("[...document.querySelectorAll('a[href]')].map(a => new URL(a.href).pathname)")
    fetched = player.evaluate(
        """async (paths) => {
            const found = [];
            for (const path of paths) {
                const stop = new AbortController();
                const answer = await fetch(path, {signal: stop.signal, redirect: "manual"});
                let text = "";
                if (answer.ok) {
                    const reader = answer.body.getReader();
                    setTimeout(() => stop.abort(), 700);
                    try {
                        for (let part = await reader.read(); !part.done; part = await reader.read()) {
                            text += new TextDecoder().decode(part.value);
                        }
                    } catch (error) { /* it was we who stopped */ }
                }
                found.push([path, answer.status, text]);
            }
            return found;
        }""",
        ["/facilitator/", "/facilitator/live", "/facilitator/all", "/facilitator/review", f"/{role}/live"],
    )
    assert len(seen) > 3
    stream = {path: text for path, _, text in fetched}[f"/{role}/live"]
    assert "hx-partial" in stream
    assert [text for path, _, text in fetched if path.startswith("/facilitator")] == [""] * 4
    for text in [*texts, stream]:
        assert [secret for secret in SECRETS if secret in text] == [], text[:200]
    player.goto(f"{playing.address}/facilitator/")
    assert player.url == f"{playing.address}/"
    player.context.close()


def test_the_room_is_worked_with_the_keyboard_alone(chromium: Browser, playing: RunningRoom) -> None:
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(playing.address)
    assert page.evaluate("document.activeElement.id") == "code"
    page.keyboard.type(playing.codes["executive"])
    page.keyboard.press("Tab")
    page.keyboard.type("Erin")
    page.keyboard.press("Enter")
    page.wait_for_url("**/executive/")
    live(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "jump"
    page.keyboard.press("Enter")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "n-text":
            break
    page.keyboard.type("Written without a mouse.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for(page, "#log", "Written without a mouse.")
    assert page.evaluate("document.activeElement.innerText") == "Write it down"
    page.context.close()


def test_focus_stays_where_it_is_when_a_panel_is_redrawn(chromium: Browser, playing: RunningRoom) -> None:
    boss = playing.seat(chromium, "facilitator", "Freya")
    boss.focus("#b-10")
    boss.keyboard.press("Enter")
    said(boss, "moved on")
    boss.keyboard.press("Enter")
    boss.wait_for_timeout(500)
    assert boss.evaluate("document.activeElement.id") == "b-10"
    boss.get_by_text("Codes", exact=True).click()
    boss.keyboard.press("Tab")
    boss.locator("#b-next").press("Enter")
    boss.wait_for_timeout(500)
    assert boss.locator("#d-codes").get_attribute("open") is not None
    boss.context.close()


def test_wrong_codes_are_refused_and_slowed_down(chromium: Browser, playing: RunningRoom) -> None:
    """The last one here: nobody joins from this address for a while."""
    page = chromium.new_page()
    page.goto(playing.address)
    waits: list[str | None] = []
    page.on(
        "response", lambda answer: waits.append(answer.headers.get("retry-after")) if answer.status == 429 else None
    )
    words: list[str] = []
    # The wait doubles with each guess, so that even the slowest machine runs into it.
    while len(words) < 3 or (words[-1].startswith("That code") and len(words) < 10):
        page.fill("#code", f"GUESS-{len(words)}")
        page.fill("#name", "Eve")
        page.get_by_role("button", name="Join").click()
        page.wait_for_function("document.querySelector('#code').value === ''")
        words.append(page.inner_text("[role=alert]"))
    assert set(words[:-1]) == {"That code opens nothing. Ask the facilitator."}
    assert re.fullmatch(r"Too many wrong codes\. Try again in \d+ s\.", words[-1])
    assert int(waits[-1] or 0) >= 1
    page.context.close()
