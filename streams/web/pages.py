"""The pages: each what is in it and a script of its own, in the frame of all; and the files that they share."""

from collections.abc import Iterator
from pathlib import Path
from string import Template

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct, structs

FOLDER = Path(__file__).parent / "page"
HEADERS = {
    # Nothing from elsewhere; pictures come as `blob:`, since a picture's own request could not bring a token.
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; style-src 'self'; script-src 'self';"
    " img-src blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Page(Struct, frozen=True, kw_only=True):
    """One page.

    name         of what is in it, NAME.html, and of its script, NAME.js
    description  what it is for, in a sentence or two that stand on it
    first        id of what the keyboard may skip to, and `first_is` what that is called
    """

    path: str
    name: str
    title: str
    heading: str
    description: str
    first: str
    first_is: str


PAGES = (
    Page(
        path="/",
        name="page",
        title="Anabranch",
        heading="Anabranch",
        description="Each event moves its user's taste, and their list is made anew within milliseconds."
        " Pick somebody, click as them, and watch.",
        first="list-title",
        first_is="the list",
    ),
    Page(
        path="/experiments.html",
        name="experiments",
        title="Experiments · Anabranch",
        heading="Experiments",
        description="What is tried on whom, and what has been proven by now.",
        first="experiments",
        first_is="the experiments",
    ),
    Page(
        path="/moderation.html",
        name="moderation",
        title="Moderation · Anabranch",
        heading="Moderation",
        description="Uploads that wait for somebody to look at them, and why.",
        first="moderation",
        first_is="what waits",
    ),
)
FILES = ("page.css", "common.js", *(f"{page.name}.js" for page in PAGES))


def routes() -> Iterator[web.RouteDef]:
    """A route for each page and each file."""
    frame = Template((FOLDER / "frame.html").read_text())
    for page in PAGES:
        content = (FOLDER / f"{page.name}.html").read_text().rstrip()
        text = frame.substitute(structs.asdict(page), content=content)
        here = f'href="{page.path}"'
        yield web.get(page.path, _page(text.replace(here, f'{here} aria-current="page"', 1)))
    for name in FILES:
        yield web.get(f"/{name}", _file(FOLDER / name))


def _page(text: str) -> Handler:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    return page


def _file(path: Path) -> Handler:
    async def file(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers=HEADERS)

    return file
