"""Pictures of the pages for the docs, and how long they take to be there: of a system that runs, in real Chromium.

    export ANABRANCH_WORKER__MEDIA_ROOT=media ANABRANCH_MODERATION__ENABLED=true ANABRANCH_MODERATION__KEY=...
    anabranch worker    # and `serve`; then
    python -m tests.web.pictures docs
    python -m tests.web.pictures docs moderation    # that picture alone

uploads drawings of shapes and what is held, lets some people click on those that they like, and writes `page.png`,
`page-dark.png`, `page-phone.png`, `search.png` and `moderation.png`; and `experiments.png`, of made-up outcomes. It
prints what was measured, for docs/http.md.
"""

import asyncio
import itertools
import re
import shutil
import sys
import time
from itertools import product
from pathlib import Path
from statistics import median
from uuid import uuid4

from PIL import Image, ImageDraw
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from streams.client import Client, RequestRefused
from streams.events import Click, Upload
from streams.settings import load
from tests.web.world import opened_laboratory

COLOURS = {"Red": "#c8322b", "Blue": "#2f6fbf", "Green": "#3c8f4d", "Orange": "#e28c20", "Violet": "#7b44b5"}
SHAPES = {"circle": 40, "triangle": 3, "square": 4, "pentagon": 5, "hexagon": 6, "octagon": 8}  # corners
PEOPLE = {"ada": "Red", "bruno": "Blue", "chen": "circle", "dalia": "triangle", "emeka": "Green", "freya": "hexagon"}
DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
LOADS = 7
SETTLED_SECONDS = 10.0  # of clicks, so that rates and curves tell of more than the first ones
# Words that are harmless here, and are in the lists for what they mean elsewhere.
HELD = {
    "Cock-crow over the fields": "A morning in the country, drawn in a few colours.",
    "Of Human Bondage": "The novel by W. Somerset Maugham, drawn in a few shapes.",
}
LOADED = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const files = performance.getEntriesByType("resource").filter((each) => /[.](css|js)$/.test(each.name));
  return [
    performance.getEntriesByName("first-contentful-paint")[0].startTime,
    page.loadEventEnd,
    [page, ...files].reduce((sum, each) => sum + each.transferSize, 0) / 1000,
  ];
}"""


def draw(folder: Path) -> dict[str, str]:
    """Title -> URI of its picture."""
    made = {}
    for (colour, paint), (shape, corners) in product(COLOURS.items(), SHAPES.items()):
        picture = Image.new("RGB", (256, 256), "white")
        ImageDraw.Draw(picture).regular_polygon((128, 128, 100), corners, fill=paint)
        file = folder / f"{colour}-{shape}.png"
        picture.save(file)
        made[f"{colour} {shape}"] = file.resolve().as_uri()
    return made


async def fill(client: Client, drawn: dict[str, str]) -> None:
    """Upload them, and wait until each can be seen."""
    for title, uri in drawn.items():
        upload = Upload(event_id=str(uuid4()), ts=time.time(), item_id=title, title=title, media={"image": uri})
        await client.send(upload)
    async with asyncio.timeout(300):
        for title in drawn:
            while True:
                if await is_known(client, title):
                    break
                await asyncio.sleep(0.5)


async def is_known(client: Client, item: str) -> bool:
    try:
        return "image" in (await client.item(item)).media
    except RequestRefused:
        return False


async def hold(client: Client, drawn: dict[str, str]) -> None:
    """Upload what is held for its words, each with a drawing, and wait until it waits."""
    for (title, text), uri in zip(HELD.items(), drawn.values(), strict=False):
        names = {"event_id": str(uuid4()), "item_id": title, "title": title, "text": text}
        await client.send(Upload(**names, ts=time.time(), media={"image": uri}, attributes=["drawing"]))
    async with asyncio.timeout(300):
        while (await client.held()).total < len(HELD):  # noqa: ASYNC110 (another process tells it)
            await asyncio.sleep(0.5)


async def live(client: Client, drawn: dict[str, str]) -> None:
    """People go on clicking on what they like; who has clicked all of it begins anew under another number."""
    for turn in itertools.count():
        for at in range(3):
            for user, liked in PEOPLE.items():
                title = [title for title in drawn if liked in title][at]
                name = user if turn == 0 else f"{user}-{turn}"
                await client.send(Click(event_id=str(uuid4()), ts=time.time(), user_id=name, item_id=title))
                await asyncio.sleep(0.3)


async def shoot(browser: Browser, address: str, folder: Path) -> None:
    """Write the pictures."""
    for name, size, scheme in (("page", DESK, "light"), ("page-dark", DESK, "dark"), ("page-phone", PHONE, "light")):
        context = await browser.new_context(viewport=size, color_scheme="dark" if scheme == "dark" else "light")
        page = await context.new_page()
        await page.goto(f"{address}/#ada")
        await expect(page.locator("#list .card").first).to_be_visible(timeout=60_000)
        await expect(page.locator("#taste .band").first).to_be_visible(timeout=60_000)
        await expect(page.locator("#figures")).to_contain_text(re.compile(r"half within\s*\d"), timeout=120_000)
        await pictures_seen(page)
        if size == PHONE:
            await page.locator("#taste-title").evaluate("each => each.scrollIntoView()")
        await page.screenshot(path=folder / f"{name}.png")
        if name == "page":
            await page.get_by_label("Search the items").fill("blue hexagon")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", name="Found for")).to_be_visible()
            await pictures_seen(page)
            await page.screenshot(path=folder / "search.png")
        await context.close()


async def shoot_moderation(browser: Browser, address: str, folder: Path) -> None:
    """Write the picture of what waits, once a moderator has asked for a picture of it."""
    async with await browser.new_context(viewport=DESK, color_scheme="light") as context:
        page = await context.new_page()
        await page.goto(f"{address}/moderation.html")
        await page.locator(".held").first.get_by_role("button", name="Show the picture").click()
        await expect(page.locator(".held img")).to_have_js_property("complete", True, timeout=60_000)
        await page.screenshot(path=folder / "moderation.png")


async def shoot_experiments(browser: Browser, folder: Path) -> None:
    """Write the picture of what the experiments of the tests have shown."""
    world = await opened_laboratory()
    async with await browser.new_context(viewport={"width": 1000, "height": 660}, color_scheme="light") as context:
        page = await context.new_page()
        await page.goto(str(world.client.make_url("/experiments.html")))
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.screenshot(path=folder / "experiments.png")
    await world.close()


async def pictures_seen(page: Page) -> None:
    whole = "() => [...document.querySelectorAll('#list img')].every((each) => each.complete && each.naturalWidth)"
    await page.wait_for_function(whole, timeout=60_000)


async def measure(browser: Browser, address: str) -> str:
    """First paint and load of a page not in the browser's cache, medians; a table."""
    lines = ["| page | first paint, ms | loaded, ms | page, styles and scripts, kB |", "|---|---|---|---|"]
    for name, path in (("live", "/"), ("experiments", "/experiments.html"), ("moderation", "/moderation.html")):
        figures = []
        for _ in range(LOADS):
            async with await browser.new_context(viewport=PHONE) as context:
                page = await context.new_page()
                await page.goto(address + path, wait_until="load")
                await page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
                figures.append(await page.evaluate(LOADED))
        first, loaded, size = (median(column) for column in zip(*figures, strict=True))
        lines.append(f"| {name} | {first:.0f} | {loaded:.0f} | {size:.1f} |")
    return "\n".join(lines)


async def main(folder: Path, *, moderation_alone: bool) -> None:
    """Fill the running system, take the pictures, print the table."""
    settings = load()
    address = f"http://{settings.http.host}:{settings.http.port}"
    root = settings.worker.media_root
    if root is None:
        sys.exit("ANABRANCH_WORKER__MEDIA_ROOT is to name a folder, the same for the worker and for `anabranch serve`")
    async with Client(address) as client, async_playwright() as playwright:
        drawn = draw(root)
        await hold(client, drawn)
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        await shoot_moderation(browser, address, folder)
        if not moderation_alone:
            await shoot_experiments(browser, folder)
            await fill(client, drawn)
            clicking = asyncio.create_task(live(client, drawn))
            await asyncio.sleep(SETTLED_SECONDS)
            await shoot(browser, address, folder)
            clicking.cancel()
            print(await measure(browser, address))
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), moderation_alone="moderation" in sys.argv[2:]))
