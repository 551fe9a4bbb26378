"""The pages of the documentation, block by block."""

import re
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<not_run>[^\n]+) -->\n)?^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.S | re.M
)


class Block(Struct, frozen=True):
    """What stands between two fences.

    line      of the page, where it begins
    language  as the fence says; empty for what a program printed
    not_run   why it is not run: `<!-- not run: needs Docker -->` right above the fence; empty where it is
    """

    page: Path
    line: int
    language: str
    text: str
    not_run: str

    def __str__(self) -> str:
        return f"{self.page.name}, line {self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    """All blocks of a page in order, or those in some languages."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start("text")), found["language"], found["text"], found["not_run"] or "")
        for found in BLOCK.finditer(text)
        if not languages or found["language"] in languages
    ]


def block_of(page: str, language: str) -> Block:
    """The first block of a page in `docs` in a language."""
    return blocks(ROOT / "docs" / page, language)[0]
