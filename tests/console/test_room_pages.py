"""The room over HTTP: joining, acting, what each role is told, and what no player ever is."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from shutil import copytree

import pytest

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.records import PLAYERS
from turncoat.agent.exercise.view_records import FacilitatorView
from turncoat.console.tabletop.web.desk import STREAMS

from ..agent.exercise.small_exercise import CAMPAIGN, PLAN, prepared
from .room_calls import HOME, PORT, Person, Rig, browser, rig, seated, streamed

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202egnp.exe"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("exercise"))


@pytest.fixture
def room(folder: Path, tmp_path: Path) -> Iterator[Rig]:
    with Exercise.open(copytree(folder, tmp_path / "exercise")) as exercise:
        yield rig(exercise)


def facilitator_view(room: Rig) -> FacilitatorView:
    view = room.room.exercise.view("facilitator")
    assert isinstance(view, FacilitatorView)
    return view


def played(room: Rig) -> None:
    """Two days on: alerts handed over and dismissed, injects given, a remark, feedback and a tick."""
    exercise = room.room.exercise
    exercise.act("facilitator", "start")
    exercise.act("facilitator", "remark", {"text": "SECRET-REMARK"})
    exercise.act("facilitator", "tick-expected", {"id": "declare", "note": "SECRET-TICK"})
    exercise.act("executive", "feedback", {"text": "SECRET-FEEDBACK", "rating": 2})
    exercise.act("facilitator", "skip", {"minutes": 1560})


def links(page: str) -> set[str]:
    return {html.unescape(link) for link in re.findall(r'(?:href|action|hx-post|src|hx-sse:connect)="(/[^"]*)"', page)}


async def crawled(person: Person) -> dict[str, str]:
    """Every page that can be reached by links from a role's main page."""
    found: dict[str, str] = {}
    waiting = [f"/{person.role}/"]
    while waiting:
        path = waiting.pop()
        if path in found or path.startswith("/static") or "/live" in path:
            continue
        answer = await person.get(path)
        found[path] = answer.text
        if answer.status_code == 200:
            waiting += links(answer.text) - set(found)
    return found


def secrets_of(room: Rig) -> set[str]:
    """What only the facilitator may read, of an exercise that is under way."""
    view = facilitator_view(room)
    words = {"SECRET-REMARK", "SECRET-TICK", "SECRET-FEEDBACK", "poisoned", "Attack:", "look-alike", "The attack"}
    words |= {item.alert.uid for item in view.hidden}
    words |= {step.title for step in view.steps}
    words |= {item.told for item in view.expected if len(item.told) > 8}
    words |= {text for topic in view.discussion for text in (*topic.questions, *topic.hints)}
    words |= {view.opening, view.closing} - {""}
    return words


def test_the_facilitator_sees_every_secret_so_that_the_search_below_means_something(room: Rig) -> None:
    played(room)

    async def play() -> str:
        async with seated(room, "facilitator") as person:
            pages = await crawled(person)
            return html.unescape("".join(pages.values()))

    text = asyncio.run(play())
    view = facilitator_view(room)
    assert len(view.hidden) >= 3
    missing = {word for word in secrets_of(room) if word not in text} - {view.opening, view.closing, "SECRET-TICK"}
    assert missing == set()


@pytest.mark.parametrize("role", PLAYERS)
def test_no_page_or_stream_of_a_player_holds_a_truth_or_a_dismissed_alert(room: Rig, role: str) -> None:
    played(room)

    async def play() -> dict[str, str]:
        async with seated(room, role) as person:
            pages = await crawled(person)
            status, pages["stream"] = await streamed(room, person, f"/{role}/live")
            assert status == 200
            uid = room.room.exercise.view(role).alerts[0].uid  # type: ignore[arg-type]
            _, pages["case stream"] = await streamed(room, person, f"/{role}/live?uid={uid}")
            return pages

    pages = asyncio.run(play())
    assert f"/{role}/all" in pages or f"/{role}/" in pages
    assert "standing" in pages["case stream"]
    for path, text in pages.items():
        read = html.unescape(text)
        assert {word for word in secrets_of(room) if word in read} == set(), path


@pytest.mark.parametrize("role", PLAYERS)
def test_a_player_reaches_no_page_of_the_facilitator_or_of_another_player(room: Rig, role: str) -> None:
    played(room)
    hidden = facilitator_view(room).hidden[0].alert.uid

    async def play() -> list[tuple[str, int, str]]:
        async with seated(room, "facilitator") as boss, seated(room, role) as person:
            paths = set(await crawled(boss)) | {"/facilitator/", "/facilitator/review", "/facilitator/report"}
            others = {f"/{other}/" for other in PLAYERS if other != role}
            # The cookie is worth nothing under another role's name either.
            (token,) = [cookie.value for cookie in person.browser.cookies.jar]
            for other in ("facilitator", *PLAYERS):
                person.browser.cookies.set(f"turncoat-{PORT}-{other}", token or "", path="/")
            found = []
            for path in [*sorted(paths | others), f"/{role}/case/{hidden}", f"/{role}/report"]:
                if path in ("/", f"/{role}/leave"):
                    continue
                answer = await person.get(path)
                found.append((path, answer.status_code, answer.text))
            for path in ("/facilitator/live", f"/facilitator/live?uid={hidden}", f"/{role}/live?uid={hidden}"):
                found.append((path, *await streamed(room, person, path)))
            return found

    for path, status, text in asyncio.run(play()):
        assert status in (303, 401, 404, 405), path
        assert hidden not in text, path
        assert "Attack" not in text, path


@pytest.mark.parametrize(
    ("kind", "given"),
    [("pause", {}), ("skip", {"minutes": "10"}), ("inject", {"to": "lead", "text": "x"}), ("end", {}),
     ("remark", {"text": "x"}), ("tick-expected", {"id": "audit"}), ("speed", {"speed": "600"})],
)  # fmt: skip
def test_a_player_cannot_do_what_is_the_facilitators(room: Rig, kind: str, given: dict[str, str]) -> None:
    played(room)
    before = room.room.exercise.state.seq

    async def play() -> int:
        async with seated(room, "lead", "Lead") as lead:
            forged = await lead.browser.post(
                f"/facilitator/do/{kind}", data=given | {"form-token": room.room.access.form_token("facilitator")},
                headers={"Origin": HOME},
            )  # fmt: skip
            assert forged.status_code == 401
            return (await lead.do(kind, **given)).status_code

    assert asyncio.run(play()) == 422
    assert [e.kind for e in room.room.exercise.events(before)] == ["joined"]


def test_wrong_codes_are_refused_alike_and_slowed_down(room: Rig) -> None:
    async def play() -> list[tuple[int, str]]:
        found = []
        room.room.access.revoke("executive")
        async with browser(room) as person:
            for code in ("AAAA-BBBB-CCCC-DDDD", room.codes["executive"], "x", "y"):
                answer = await person.post("/join", {"code": code, "name": "Eve"})
                found.append((answer.status_code, re.sub(r'value="Eve"', "", answer.text)))
            right = await person.post("/join", {"code": room.codes["lead"], "name": "Eve"})
            found.append((right.status_code, right.headers["retry-after"]))
        async with browser(room, address="10.1.1.1") as other:
            elsewhere = await other.post("/join", {"code": room.codes["lead"], "name": "Ada"})
            found.append((elsewhere.status_code, ""))
        return found

    (first, one), (second, two), (third, _), (fourth, _), (blocked, waits), (other, _) = asyncio.run(play())
    assert (first, second, third, fourth) == (403, 403, 403, 429)
    assert one == two
    assert (blocked, waits) == (429, "1")
    assert other == 303


def test_many_guesses_at_once_are_not_one_guess(room: Rig) -> None:
    async def play() -> list[int]:
        async with browser(room) as person:
            guesses = [person.post("/join", {"code": f"guess {n}", "name": "Eve"}) for n in range(30)]
            return [answer.status_code for answer in await asyncio.gather(*guesses)]

    assert sorted(asyncio.run(play())) == [403] * 3 + [429] * 27


def test_a_cookie_is_for_its_pages_alone_and_no_script_reads_it(room: Rig) -> None:
    async def play(one: Rig) -> str:
        async with browser(one) as person:
            answer = await person.post("/join", {"code": one.codes["lead"], "name": "Ada"})
            return answer.headers["set-cookie"]

    cookie = asyncio.run(play(room))
    assert re.match(rf"turncoat-{PORT}-lead=[\w-]{{43}}; ", cookie)
    assert {"HttpOnly", "Path=/lead/", "SameSite=strict", "Max-Age=86400"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


def test_under_tls_a_cookie_is_secure(folder: Path, tmp_path: Path) -> None:
    async def play(one: Rig) -> str:
        async with browser(one, f"https://127.0.0.1:{PORT}") as person:
            answer = await person.post(
                "/join", {"code": one.codes["lead"], "name": "Ada"}, Origin=f"https://127.0.0.1:{PORT}"
            )
            return answer.headers["set-cookie"]

    with Exercise.open(copytree(folder, tmp_path / "exercise")) as exercise:
        cookie = asyncio.run(play(rig(exercise, scheme="https")))
    assert cookie.startswith(f"__Secure-turncoat-{PORT}-lead=")
    assert "Secure" in cookie.split("; ")


def test_a_form_without_its_rooms_token_does_nothing(room: Rig) -> None:
    played(room)
    before = room.room.exercise.state.seq

    async def play() -> list[int]:
        async with seated(room, "lead", "Lead") as lead:
            found = []
            for token in ({}, {"form-token": "0" * 32}, {"form-token": room.room.access.form_token("analyst")}):
                answer = await lead.browser.post("/lead/do/note", data={"text": "x"} | token, headers={"Origin": HOME})
                found.append(answer.status_code)
            return found

    assert asyncio.run(play()) == [422, 422, 422]
    assert [e.kind for e in room.room.exercise.events(before)] == ["joined"]


def test_what_people_and_alerts_say_stays_text(tmp_path: Path) -> None:
    campaign = CAMPAIGN.replace("Alice Smith", "Alice <script>alert(1)</script>")
    plan = PLAN.replace("Somebody reads the books.", '"</p><script>alert(2)</script>"')
    with Exercise.open(prepared(tmp_path / "exercise", campaign, plan)) as exercise:
        one = rig(exercise)
        played(one)
        exercise.act("lead", "declare", {"summary": HOSTILE}, HOSTILE)

        async def play() -> list[str]:
            pages = []
            async with AsyncExitStack() as stack:
                for role in ("facilitator", *PLAYERS):
                    person = await stack.enter_async_context(seated(one, role, f"{role} {HOSTILE}"[:40]))
                    pages += (await crawled(person)).values()
                    pages.append((await person.do("note", text=HOSTILE)).text)
                    pages.append((await streamed(one, person, f"/{role}/live"))[1])
            return pages

        pages = asyncio.run(play())
    assert any("&lt;img src=x onerror=alert(1)&gt;" in page for page in pages)
    for page in pages:
        assert "<img" not in page
        assert "<script>" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page


def test_an_action_is_recorded_under_its_name_and_shown_to_the_others(room: Rig) -> None:
    async def play() -> tuple[str, str]:
        room.room.exercise.act("facilitator", "start")
        async with seated(room, "lead", "Grace") as lead, seated(room, "executive", "Erin") as boss:
            page = await boss.get("/executive/")
            since = re.search(r"since=([0-9a-f.]+)", page.text)
            assert since
            answer = await lead.do("declare", summary="Files are gone.")
            stream = await streamed(room, boss, f"/executive/live?since={since.group(1)}")
            return answer.text, stream[1]

    answer, stream = asyncio.run(play())
    event = next(event for event in room.room.exercise.events() if event.kind == "declare")
    assert (event.source, event.participant, event.payload["summary"]) == ("lead", "Grace", "Files are gone.")
    assert "Declares an incident: Files are gone." in answer
    assert 'hx-target="#situation"' in stream
    assert "Files are gone." in stream
    assert 'hx-target="#alerts"' not in stream


def test_a_refused_action_says_what_is_wrong_and_how_to_mend_it(room: Rig) -> None:
    async def play() -> tuple[int, str]:
        room.room.exercise.act("facilitator", "start")
        async with seated(room, "lead") as lead:
            answer = await lead.do("disable", user="nobody", reason="x")
            return answer.status_code, html.unescape(answer.text)

    status, text = asyncio.run(play())
    assert status == 422
    assert "user: unknown account 'nobody'" in text
    assert 'class="fault"' in text


def test_a_browser_without_scripts_is_sent_back_to_its_page(room: Rig) -> None:
    async def play() -> tuple[int, str, int, str]:
        async with seated(room, "facilitator") as boss:
            done = await boss.post("/facilitator/do/start")
            refused = await boss.post("/facilitator/do/start")
            return done.status_code, done.headers["location"], refused.status_code, refused.text

    status, where, again, text = asyncio.run(play())
    assert (status, where, again) == (303, "/facilitator/", 422)
    assert "has begun already" in text
    assert "<!doctype html>" in text


def test_the_facilitator_renews_and_revokes_codes_and_removes_people(room: Rig) -> None:
    async def play() -> tuple[list[int], list[int]]:
        async with seated(room, "facilitator") as boss, seated(room, "lead", "Grace") as lead:
            (grace,) = [person for person in room.room.access.sessions() if person.name == "Grace"]
            answers = [
                await boss.post("/facilitator/renew", {"role": "analyst"}),
                await boss.post("/facilitator/revoke", {"role": "executive"}),
                await boss.post("/facilitator/remove", {"id": grace.id}),
                await boss.post("/facilitator/remove", {"id": grace.id}),
                await boss.post("/facilitator/renew", {"role": "king"}),
            ]
            page = await lead.get("/lead/")
            form = await lead.do("note", text="still here?")
            return [answer.status_code for answer in answers], [page.status_code, form.status_code]

    answers, after = asyncio.run(play())
    assert answers == [303, 303, 303, 422, 422]
    assert after == [303, 401]
    ((role, code),) = room.told
    assert role == "analyst"
    assert room.room.access.admit(room.codes["analyst"], "Eve") is None
    assert room.room.access.admit(code, "Ada") is not None
    assert "executive" not in room.room.access.open_roles()


def test_leaving_ends_the_session(room: Rig) -> None:
    async def play() -> tuple[int, int]:
        async with seated(room, "lead") as lead:
            left = await lead.post("/lead/leave")
            return left.status_code, (await lead.get("/lead/")).status_code

    assert asyncio.run(play()) == (303, 303)
    assert room.room.access.sessions() == ()


def test_a_log_that_cannot_be_written_is_told_and_nothing_is_done(room: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> tuple[int, str]:
        room.room.exercise.act("facilitator", "start")
        async with seated(room, "lead") as lead:
            await lead.get("/lead/")

            def full(_: object) -> None:
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(room.room.exercise._journal, "append", full)
            answer = await lead.do("note", text="lost?")
            return answer.status_code, answer.text

    status, text = asyncio.run(play())
    assert status == 503
    assert "could not be recorded" in text
    assert [str(fault) for fault in room.troubles] == ["[Errno 28] No space left on device"]
    assert "lost?" not in str(room.room.exercise.view("lead").log)


def test_a_person_has_a_bounded_number_of_streams_and_the_oldest_goes_first(room: Rig) -> None:
    async def play() -> tuple[int, list[int]]:
        async with seated(room, "lead") as lead:
            (session,) = room.room.access.sessions()
            streams = []
            for _ in range(STREAMS + 3):
                streams.append(asyncio.ensure_future(streamed(room, lead, "/lead/live", seconds=3)))
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            open_now, ended = len(room.room.viewers(session.id)), [n for n, one in enumerate(streams) if one.done()]
            for one in streams:
                one.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
            return open_now, ended

    assert asyncio.run(play()) == (STREAMS, [0, 1, 2])
    assert room.room.board("lead").viewers == set()


def test_somebody_whose_coming_cannot_be_recorded_is_not_seated(room: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    async def play() -> tuple[int, str]:
        monkeypatch.setattr(room.room.exercise._journal, "append", full)
        async with browser(room) as person:
            answer = await person.post("/join", {"code": room.codes["lead"], "name": "Ada"})
            return answer.status_code, answer.text

    status, text = asyncio.run(play())
    assert status == 503
    assert 'href="/"' in text
    assert room.room.access.sessions() == ()
