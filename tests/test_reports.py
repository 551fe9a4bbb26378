"""Reports find their place on a page."""

from pathlib import Path

import pytest

from streams.errors import AnabranchError
from streams.reports import Sheet, markdown, titled, write_into

FRUIT = Sheet("Fruit", ("fruit", "kg"), [("apple", "3")])


def test_a_report_goes_between_the_lines_of_its_name_again_and_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- fruit -->\nold\n<!-- /fruit -->\nafter\n<!-- other -->\nother\n<!-- /other -->\n")
    for _ in range(2):
        write_into(page, "fruit", markdown(FRUIT))
    text = page.read_text()
    assert text.startswith("before\n") and "after\n" in text and "old" not in text and "\nother\n" in text
    assert text.count("| apple | 3 |") == 1


def test_a_page_that_is_not_there_is_begun_and_can_be_written_into_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_into(page, "fruit", "none yet\n")
    write_into(page, "fruit", titled([FRUIT, FRUIT]))
    text = page.read_text()
    assert "none yet" not in text and text.count("Fruit:\n\n| fruit | kg |") == 2


def test_a_page_without_these_lines_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("mine <!-- fruit -->")
    with pytest.raises(AnabranchError, match="<!-- /fruit -->"):
        write_into(page, "fruit", "text")
    assert page.read_text() == "mine <!-- fruit -->"
