"""The pages in a real browser, among fakes."""

import io
import re
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import av
import msgspec
import numpy as np
import pytest
from axe_playwright_python.async_playwright import Axe
from PIL import Image
from playwright.async_api import Browser, Locator, Page, Route, ViewportSize, async_playwright, expect

from streams.events import Click, Upload
from streams.web.access import Tokens
from streams.web.answers import Flow, Timings
from tests.media import file_of, picture
from tests.pipeline.test_moderation import listed
from tests.pipeline.test_pipeline import NOW
from tests.web.test_api import ADMIN, LINES, READER
from tests.web.test_moderation import hold
from tests.web.world import HttpWorld, opened_laboratory

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine: apt install chromium")
PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def world() -> AsyncIterator[HttpWorld]:
    world = HttpWorld()
    await world.open()
    await world.click("ada", "alien")
    yield world
    await world.close()


@pytest.fixture
async def page(browser: Browser, world: HttpWorld) -> AsyncIterator[Page]:
    async with opened(browser, world, "/", NOW) as page:
        yield page


@asynccontextmanager
async def opened(browser: Browser, world: HttpWorld, path: str, now: float) -> AsyncIterator[Page]:
    """A page whose scripts raise nothing and ask nobody else for anything, until it is closed."""
    async with await browser.new_context() as context:
        page = await context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
        await page.clock.set_fixed_time(now)
        await page.goto(str(world.client.make_url(path)))
        yield page
        assert wrong == []


async def test_the_user_whose_list_was_refreshed_last_is_shown_with_titles_and_reasons(page: Page) -> None:
    await expect(page.get_by_role("heading", name="List of ada")).to_be_visible()
    first = page.locator("#list .card").first
    await expect(first).to_contain_text("Aliens")
    await expect(first).to_contain_text("Alien")
    await expect(page.locator("#taste")).to_contain_text("words 100%")


async def test_a_click_leaves_as_an_event_and_the_refreshed_list_comes_by_itself(page: Page, world: HttpWorld) -> None:
    star = page.locator("#list .card strong", has_text="Star Wars")
    await star.click()
    await expect(page.locator("#news")).to_contain_text("ada clicked Star Wars")
    [sent] = world.sink.messages
    assert (sent.topic, sent.key) == ("events.click", b"ada")
    await world.click("ada", "star")
    await expect(page.locator("#list")).to_have_attribute("data-version", "2")
    await expect(page.locator("#news")).to_contain_text("ms after your click")
    await expect(page.locator("#list .card strong", has_text="Star Wars")).to_have_count(0)


async def test_a_list_can_be_clicked_through_with_the_keyboard_alone(page: Page, world: HttpWorld) -> None:
    await page.locator("#list .card").nth(1).focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#news")).to_contain_text("ada clicked")
    await world.click("ada", "star")
    await expect(page.locator("#list")).to_have_attribute("data-version", "2")
    await expect(page.locator("#list .card").nth(1)).to_be_focused()


async def test_whoever_chooses_a_user_with_the_keyboard_goes_on_from_there(page: Page, world: HttpWorld) -> None:
    await world.click("bob", "star")
    bob = page.locator("#recent").get_by_role("button", name="bob")
    await expect(bob).to_be_visible()
    await bob.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="List of bob")).to_be_visible()
    await expect(bob).to_be_focused()


async def test_another_user_can_be_asked_for(page: Page) -> None:
    await page.get_by_label("User").fill("nobody yet")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("#news")).to_contain_text("Nothing is known of this user yet")
    await expect(page.locator("#list .card")).to_have_count(6)


async def test_items_can_be_searched_for_and_clicked_and_the_list_is_still_there(page: Page, world: HttpWorld) -> None:
    await page.get_by_label("Search the items").fill("space monster")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Found for “space monster”")).to_be_visible()
    first = page.locator("#list .card").first
    await expect(first).to_contain_text("Alien")
    await first.click()
    await expect(page.locator("#news")).to_contain_text("ada clicked Alien.")
    await world.click("ada", "star")
    await page.get_by_role("button", name="Back to the list").click()
    await expect(page.locator("#list")).to_have_attribute("data-version", "2")
    await expect(page.locator("#list .card strong", has_text="Star Wars")).to_have_count(0)


async def test_a_click_on_what_was_found_names_its_query_and_one_on_a_list_names_none(
    page: Page, world: HttpWorld
) -> None:
    async with page.expect_response("**/search") as answered:
        await look_for(page, "space monster")
    found = await (await answered.value).json()
    await page.locator("#list .card").nth(1).click()
    await expect(page.locator("#news")).to_contain_text("clicked")
    await page.get_by_role("button", name="Back to the list").click()
    await page.locator("#list .card").first.click()
    await expect(page.locator("#news")).to_contain_text("clicked")
    searched, listed = [msgspec.json.decode(message.value, type=Click) for message in world.sink.messages]
    assert (searched.query_id, searched.position) == (found["query_id"], 1)
    assert searched.item_id == found["items"][1]["item_id"]
    assert (listed.query_id, listed.position) == (None, 0)


async def test_what_was_found_is_narrowed_down_and_widened_again(page: Page, world: HttpWorld) -> None:
    await world.upload("heat", title="Heat", text="space heist", attributes=["genre=Crime"])
    await world.upload("dune", title="Dune", text="space desert", attributes=["genre=Epic"])
    await look_for(page, "space")
    cards = page.locator("#list .card")
    crime = page.get_by_role("list", name="genre").get_by_role("button", name="Crime 1")
    await crime.click()
    await expect(cards).to_have_count(1)
    await expect(cards).to_contain_text("Heat")
    await expect(crime).to_have_attribute("aria-pressed", "true")
    await expect(crime).to_be_focused()
    await check(page)
    await page.keyboard.press("Enter")
    await expect(cards.filter(has_text="Dune")).to_have_count(1)


async def test_pages_of_what_was_found_follow_each_other_and_places_are_counted_on(
    page: Page, world: HttpWorld
) -> None:
    for n in range(25):
        await world.upload(f"part {n}", title=f"Saga, part {n}", text="saga")
    await look_for(page, "saga")
    cards = page.locator("#list .card")
    await expect(page.locator("#news")).to_contain_text("found, 1 to 20 shown")
    await page.get_by_role("button", name="Later").click()
    await expect(page.locator("#news")).to_contain_text("found, 21 to")
    await expect(page.get_by_role("button", name="Later")).to_be_disabled()
    await check(page)
    await cards.nth(2).click()
    await expect(page.locator("#news")).to_contain_text("clicked")
    [sent] = world.sink.messages
    assert msgspec.json.decode(sent.value, type=Click).position == 22
    await page.get_by_role("button", name="Earlier").click()
    await expect(cards).to_have_count(20)


async def test_what_was_probably_meant_is_a_click_away(page: Page) -> None:
    await look_for(page, "advenure")
    await page.get_by_role("button", name="Did you mean “adventure”?").click()
    await expect(page.get_by_role("heading", name="Found for “adventure”")).to_be_visible()
    await expect(page.get_by_label("Search the items")).to_have_value("adventure")
    await expect(page.get_by_role("button", name="Did you mean")).to_have_count(0)


async def test_an_item_that_cannot_be_read_is_shown_by_its_title_and_the_rest_as_ever(page: Page) -> None:
    await page.route("**/items/alien", lambda route: route.fulfill(status=404, json={"detail": "gone"}))
    await look_for(page, "space monster")
    await expect(page.locator("#list .card").first).to_contain_text("Alien")
    await expect(page.locator("#list .card").nth(1)).to_be_visible()


async def test_a_large_picture_is_searched_with_as_a_small_one_and_left_out_again(page: Page) -> None:
    async with page.expect_request("**/search") as asked:
        await page.get_by_label("Like a picture").set_input_files(
            {"name": "large.png", "mimeType": "image/png", "buffer": file_of(picture(3, 1600, 800))}
        )
    kind, _, content = (await asked.value).post_data_json["media"]["image"].partition(";base64,")
    sent = Image.open(io.BytesIO(b64decode(content)))
    assert (kind, sent.format, sent.size) == ("data:image/jpeg", "JPEG", (512, 256))
    await expect(page.get_by_role("heading", name="Found for a picture")).to_be_visible()
    await check(page)
    await page.get_by_role("button", name="Without the picture").click()
    await expect(page.get_by_role("heading", name="List of ada")).to_be_visible()


async def test_what_is_no_picture_is_told_apart_before_it_is_sent(page: Page) -> None:
    await page.get_by_label("Like a picture").set_input_files(
        {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    await expect(page.locator("#news")).to_have_text("notes.png is no picture that this browser can show.")


async def look_for(page: Page, words: str) -> None:
    await page.get_by_label("Search the items").fill(words)
    await page.get_by_role("button", name="Search", exact=True).click()
    await expect(page.get_by_role("heading", name=f"Found for “{words}”")).to_be_visible()


async def test_why_an_item_is_in_the_list_is_told_in_a_sentence_and_in_bars(page: Page, world: HttpWorld) -> None:
    asks = page.get_by_role("button", name="Why Aliens?")
    await asks.click()
    why = page.get_by_role("dialog", name="Why Aliens?")
    await expect(why).to_contain_text(re.compile(r"Aliens has place 1 of \d+, above all because .*Alien"))
    _, said = await world.get("/users/ada/explanations/aliens?past=8")
    for caption, told in (("score", said["parts"]), ("closeness", said["closeness"])):
        table = why.get_by_role("table", name=re.compile(f"Added to the {caption}"))
        assert told and await table.get_by_role("row").count() == len(told)
    without = why.get_by_role("table", name=re.compile("Lost without a click"))
    lost = re.compile(r"^Alien[+\u2212]\d\.\d{3}(place \d+|in no list)$")
    await expect(without.get_by_role("row")).to_have_text(lost)
    await page.keyboard.press("Escape")
    await expect(why).not_to_be_visible()
    await expect(asks).to_be_focused()


async def test_what_cannot_be_explained_is_said(page: Page) -> None:
    gone = {"detail": "item 'aliens' is in no list: it was not uploaded, or is withdrawn"}
    await page.route("**/explanations/aliens**", lambda route: route.fulfill(status=404, json=gone))
    await page.get_by_role("button", name="Why Aliens?").click()
    await expect(page.get_by_role("dialog")).to_contain_text("is withdrawn")


def film_file() -> bytes:
    """Two seconds of WebM, 64 by 48."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


async def test_a_film_is_watched_above_the_list_and_stops_when_that_is_closed(page: Page, world: HttpWorld) -> None:
    world.media.files["https://films/1"] = film_file()
    await world.upload("film", title="A film", media={"video": "https://films/1"})
    await world.click("ada", "star")
    await page.get_by_role("button", name="Watch A film").click()
    film = page.get_by_role("dialog", name="A film")
    await expect(film).to_be_visible()
    await expect(page.locator("#film-player")).to_have_js_property("videoWidth", 64)
    await check(page)
    await page.keyboard.press("Escape")
    await expect(film).to_be_hidden()
    await expect(page.locator("#film-player")).to_have_js_property("paused", True)


async def test_titles_are_words_and_never_markup(page: Page, world: HttpWorld) -> None:
    await world.upload("<img src=x>", title="<b>bold</b><script>window.bad = 1</script>")
    await world.click("ada", "star")
    await expect(page.locator("#list")).to_contain_text("<b>bold</b>")
    assert await page.evaluate("window.bad") is None
    assert await page.locator("#list b").count() == 0


async def test_rates_and_times_are_those_between_two_looks_at_the_metrics(browser: Browser, world: HttpWorld) -> None:
    looks = iter(range(100))

    async def look(route: Route) -> None:
        """Each second 50 events more, of which 40 take up to 20 ms and 10 up to 100 ms; before, all took an hour."""
        n = next(looks)
        timings = Timings(1_000 + 50 * n, 0.0, [(0.02, 40 * n), (0.1, 50 * n)])
        clicks = {"events.click": 1_000.0 + 50 * n}
        flow = Flow(NOW + n, {"w:1": "", "w:2": "no answer"}, clicks, {}, 0, 9, {}, {"rank": timings}, timings)
        await route.fulfill(body=msgspec.json.encode(flow), content_type="application/json")

    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.route("**/flow", look)
        await page.goto(str(world.client.make_url("/")))
        figures = page.locator("#figures")
        await expect(figures).to_contain_text(re.compile(r"events\s*50\s*/s"))
        await expect(figures).to_contain_text(re.compile(r"half within\s*13\s*ms"))  # 25/40 of 20 ms
        await expect(figures).to_contain_text(re.compile(r"99 of 100 within\s*96\s*ms"))  # 20 + 9.5/10 of 80 ms
        await expect(page.locator("#health")).to_have_text("1 worker, 1 not answering")


TOO_SMALL = """[...document.querySelectorAll("button, input, select, a:not(.skip)")].filter((each) => {
    const { width, height } = each.getBoundingClientRect();
    return each.checkVisibility({ visibilityProperty: true }) && Math.min(width, height) < 24;
}).map((each) => each.outerHTML)"""  # in one look: what is drawn anew between two of them has no size


async def check(page: Page) -> None:
    """What axe looks for (names, roles, contrasts of text, order of headings) and sizes to tap on: WCAG 2.2, AA."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
    found = await Axe().run(page, options=rules)
    assert found.violations_count == 0, found.generate_report()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(wide) == 0, "something is cut off"
    assert await page.evaluate(TOO_SMALL) == []


LOOKS = [(size, scheme) for size in (PHONE, DESK) for scheme in ("light", "dark")]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
async def test_everybody_can_use_the_live_page(
    browser: Browser, world: HttpWorld, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    async with await browser.new_context(viewport=size, color_scheme=scheme) as context:
        page = await context.new_page()
        await page.goto(str(world.client.make_url("/")))
        await expect(page.locator("#list .card").first).to_be_visible()
        await check(page)
        await page.get_by_role("button", name="Why").first.click()
        await expect(page.locator("#why table").last).to_be_visible()
        await check(page)


async def test_the_page_is_light_and_what_has_been_drawn_stays_in_its_place(browser: Browser, world: HttpWorld) -> None:
    async with await browser.new_context(viewport=PHONE) as context:
        page = await context.new_page()
        await page.add_init_script(SHIFTS)
        await page.goto(str(world.client.make_url("/")))
        await expect(page.locator("#list .card").first).to_be_visible()
        await expect(page.locator("#taste .band")).to_be_visible()
        await world.click("ada", "star")
        await expect(page.locator("#list")).to_have_attribute("data-version", "2")
        assert await page.evaluate("shifted") < 0.1, "what web.dev calls good"
        files = "performance.getEntriesByType('resource').filter((each) => /[.](css|js)$/.test(each.name))"
        assert 0 < await page.evaluate(f"{files}.reduce((sum, each) => sum + each.transferSize, 0)") < 60_000


@pytest.fixture
async def laboratory() -> AsyncIterator[HttpWorld]:
    world = await opened_laboratory()
    yield world
    await world.close()


async def test_experiments_are_shown_with_what_is_proven_and_what_is_amiss(
    browser: Browser, laboratory: HttpWorld
) -> None:
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(str(laboratory.client.make_url("/experiments.html")))
        await expect(page.locator("#health")).to_have_text("4,800 lists")
        arms = page.get_by_role("region", name="arms of new-items").get_by_role("row")
        await expect(arms.filter(has_text="control")).to_contain_text("compared with")
        await expect(arms.filter(has_text="many")).to_contain_text(re.compile(r"better.*\+\d+\.\d% \(\+.* to \+.*\)"))
        await expect(page.get_by_role("alert")).to_have_text("none: worse items per list")
        mixed = page.get_by_role("region", name="arms of popular-alone").get_by_role("row")
        await expect(mixed.filter(has_text="popular")).to_contain_text("worse")


async def test_without_a_plan_the_page_says_how_to_name_one(browser: Browser, world: HttpWorld) -> None:
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(str(world.client.make_url("/experiments.html")))
        await expect(page.get_by_text("ANABRANCH_WORKER__EXPERIMENTS names it")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
async def test_everybody_can_read_the_experiments(
    browser: Browser, laboratory: HttpWorld, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    async with await browser.new_context(viewport=size, color_scheme=scheme) as context:
        page = await context.new_page()
        await page.goto(str(laboratory.client.make_url("/experiments.html")))
        await expect(page.get_by_role("alert")).to_be_visible()
        await check(page)
        told = page.get_by_role("row").filter(has_text="many").get_by_role("cell").nth(1)
        box = await told.bounding_box()
        assert box and box["x"] + box["width"] <= size["width"], "the difference is seen without scrolling"


@pytest.fixture
async def desk() -> AsyncIterator[HttpWorld]:
    """Three uploads that wait: one with a picture, one with a long text, one with a tag."""
    world = HttpWorld(moderated=True)
    await world.open()
    await world.click("ada", "alien")
    world.media.files["https://files/odd"] = file_of(picture(3, 64, 48))
    await hold(world, "odd", text="A mild film about a boat", media={"image": "https://files/odd"})
    await hold(world, "long", text="word " * 400)
    await hold(world, "new", attributes=["genre=Drama"])
    yield world
    await world.close()


@pytest.fixture
async def moderation(browser: Browser, desk: HttpWorld) -> AsyncIterator[Page]:
    async with opened(browser, desk, "/moderation.html", NOW + 3600) as page:
        await expect(page.locator("#health")).to_have_text("3 waiting")
        yield page


def upload(page: Page, item: str) -> Locator:
    return page.get_by_role("region", name=f"a mild film, {item}")


async def test_what_waits_is_shown_with_why_and_since_when_the_longest_first(moderation: Page) -> None:
    first = moderation.locator(".held").first
    await expect(first).to_contain_text("a mild film, odd")
    await expect(first).to_contain_text("Held for its words (0.70)")
    await expect(first).to_contain_text("59 minutes ago")
    await expect(upload(moderation, "new")).to_contain_text("Tags: genre=Drama")
    await moderation.get_by_label("Shown first").select_option("newest")
    await expect(first).to_contain_text("a mild film, new")


async def test_a_picture_is_not_even_fetched_before_a_moderator_asks_for_it(moderation: Page, desk: HttpWorld) -> None:
    asked: list[str] = []
    moderation.on("request", lambda request: asked.append(request.url) if "/media/" in request.url else None)
    shown = upload(moderation, "odd").get_by_role("img")
    async with moderation.expect_response("**/moderation?*"):
        pass
    assert await shown.count() == 0 and asked == []
    await moderation.get_by_role("button", name="Show the picture of a mild film, odd").click()
    await expect(shown).to_have_js_property("naturalWidth", 64)
    assert len(asked) == 1
    await check(moderation)
    await moderation.get_by_role("button", name="Hide the picture of a mild film, odd").click()
    await expect(shown).to_have_count(0)
    desk.media.files["https://files/odd"] += b"and something else"
    await moderation.get_by_role("button", name="Show the picture of a mild film, odd").click()
    await expect(upload(moderation, "odd")).to_contain_text("no longer the file that was uploaded")


async def test_uploads_are_decided_on_with_the_keyboard_alone(moderation: Page, desk: HttpWorld) -> None:
    await upload(moderation, "odd").focus()
    await moderation.keyboard.press("s")
    await expect(upload(moderation, "odd").get_by_role("img")).to_be_visible()
    await moderation.keyboard.press("j")
    await expect(upload(moderation, "long")).to_be_focused()
    await moderation.keyboard.press("r")
    await expect(moderation.locator("#news")).to_have_text("“a mild film, long” is refused.")
    await expect(upload(moderation, "long")).to_have_count(0)
    await expect(upload(moderation, "new")).to_be_focused()
    await moderation.keyboard.press("k")
    await expect(upload(moderation, "odd")).to_be_focused()
    await moderation.keyboard.press("a")
    await expect(moderation.locator("#news")).to_have_text("“a mild film, odd” is allowed.")
    await desk.deliver()
    assert listed(desk.worker, "odd") and not listed(desk.worker, "long")


async def test_letters_of_a_note_are_no_decisions_and_the_note_goes_with_it(moderation: Page, desk: HttpWorld) -> None:
    await upload(moderation, "odd").get_by_label("Note").press_sequentially("a raj")
    await moderation.get_by_role("button", name="Refuse a mild film, odd").click()
    await expect(moderation.locator("#news")).to_have_text("“a mild film, odd” is refused.")
    [sent] = desk.sink.messages
    assert (event := msgspec.json.decode(sent.value, type=Upload)).withdrawn and event.note == "a raj"


async def test_what_others_decide_leaves_by_itself_and_the_keyboard_goes_on(moderation: Page, desk: HttpWorld) -> None:
    await upload(moderation, "new").get_by_label("Note").fill("half a thought")
    await upload(moderation, "odd").focus()
    await desk.upload("odd", withdrawn=True)
    await expect(upload(moderation, "odd")).to_have_count(0)
    await expect(moderation.locator("#news")).to_contain_text("“a mild film, odd” waits no more")
    await expect(upload(moderation, "long")).to_be_focused()
    await expect(upload(moderation, "new").get_by_label("Note")).to_have_value("half a thought")


async def test_who_decides_on_what_has_changed_is_told_and_sees_it_as_it_is_now(
    moderation: Page, desk: HttpWorld
) -> None:
    await moderation.route("**/moderation?*", lambda route: route.abort())  # it does not hear of it by itself
    await expect(moderation.locator("#health")).to_have_text("no connection")
    await hold(desk, "odd", text="Something else")
    await moderation.get_by_role("button", name="Allow a mild film, odd").click()
    await expect(moderation.locator("#news")).to_contain_text("was not allowed: item 'odd' was uploaded anew")
    await moderation.unroute("**/moderation?*")
    await expect(upload(moderation, "odd")).to_contain_text("Something else")
    assert desk.sink.messages == []


async def test_a_long_text_is_shown_in_full_once_asked_for(moderation: Page) -> None:
    text = upload(moderation, "long").locator(".text")
    await expect(text).to_have_text(re.compile("…$"))
    await moderation.get_by_role("button", name="All 2,000 characters").click()
    assert len(await text.text_content() or "") == 2_000
    await expect(text).to_be_focused()


async def test_who_decided_is_shown_once_it_is_carried_out(moderation: Page, desk: HttpWorld) -> None:
    await expect(moderation.locator("#past")).to_be_hidden()
    told = {"item_id": "gone", "event_id": "r", "ts": NOW, "withdrawn": True, "decided_at": NOW}
    await desk.upload("gone", **told, moderator="mia <b>", note="no [such] thing")
    await desk.upload("other", **told | {"item_id": "other", "event_id": "s"})
    line = moderation.get_by_role("listitem").filter(has_text="“gone” was refused by mia <b> on Nov 14, 2023")
    await expect(line).to_have_text(re.compile(r": no \[such\] thing$"))
    await expect(moderation.locator("#decided")).to_contain_text("“other” was refused by somebody unknown on")
    await check(moderation)


async def test_more_than_a_page_waits_on_the_next_one(moderation: Page, desk: HttpWorld) -> None:
    await hold(desk, *(f"part {n}" for n in range(19)))
    await expect(moderation.locator("#which")).to_have_text("1 to 20 of 22")
    await moderation.get_by_role("button", name="Later").click()
    await expect(moderation.locator(".held")).to_have_count(2)
    await moderation.get_by_role("button", name="Refuse a mild film, part 17").click()
    await moderation.get_by_role("button", name="Refuse a mild film, part 18").click()
    await expect(moderation.locator(".held")).to_have_count(20)
    await expect(moderation.locator("#pages")).to_be_hidden()


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
async def test_everybody_can_moderate(
    browser: Browser, desk: HttpWorld, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    async with await browser.new_context(viewport=size, color_scheme=scheme) as context:
        page = await context.new_page()
        await page.goto(str(desk.client.make_url("/moderation.html")))
        await page.get_by_role("button", name="Show the picture").click()
        await expect(page.get_by_role("img", name="The picture of")).to_be_visible()
        await check(page)


async def test_the_way_to_moderation_is_shown_to_those_who_may_decide(browser: Browser) -> None:
    world = HttpWorld(Tokens.of(LINES), moderated=True)
    await world.open()
    await hold(world, "odd")
    for token, there in ((ADMIN, True), (READER, False)):
        async with await browser.new_context() as context:
            page = await context.new_page()
            await page.add_init_script(f"sessionStorage.setItem('token', '{token}')")
            async with page.expect_response("**/moderation?limit=1"):
                await page.goto(str(world.client.make_url("/")))
            if there:
                await page.get_by_role("link", name="Moderation (1)").click()
                await expect(page.locator("#health")).to_have_text("1 waiting")
            else:
                await expect(page.get_by_role("link", name="Experiments")).to_be_visible()
                assert await page.get_by_role("link", name="Moderation").count() == 0
                await page.goto(str(world.client.make_url("/moderation.html")))
                await expect(page.locator("#news")).to_contain_text("lacks the role 'admin'")
    await world.close()


async def test_where_tokens_are_asked_for_the_page_asks_too(browser: Browser) -> None:
    world = HttpWorld(Tokens.of(LINES))
    await world.open()
    await world.click("ada", "alien")
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(str(world.client.make_url("/")))
        await page.get_by_label("Token", exact=True).fill(ADMIN)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("#list .card").first).to_contain_text("Aliens")
        assert ADMIN not in await page.content()
    await world.close()


# Cumulative layout shift, but for what somebody has just asked for.
SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shifted += each.value;
}).observe({ type: "layout-shift", buffered: true });
"""
