"""The site of the docs: it can be built, every page is in its menu, and the reference is whole."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from typer.main import get_command

from deploy import reference, site
from streams.cli import app
from streams.settings import PREFIX, Settings, load
from streams.topics import TOPICS
from tests.web.world import HttpWorld

ROOT = Path(__file__).parents[1]
PAGES = reference.pages()


def test_every_setting_command_topic_and_address_is_in_the_reference() -> None:
    settings = {
        f"{PREFIX}{group}__{name}".upper() for group, held in load().model_dump().items() if isinstance(held, dict)
        for name in type(getattr(Settings(), group)).model_fields
    }  # fmt: skip
    assert settings and settings <= set(re.findall(r"^\| `(\w+)`", PAGES["settings.md"], re.MULTILINE))
    commands = {name for name, each in get_command(app).commands.items() if not hasattr(each, "commands")}
    assert "worker" in commands and commands <= set(
        re.findall(r"^## anabranch (\S+)", PAGES["commands.md"], re.MULTILINE)
    )
    assert {topic.name for topic in TOPICS} == set(re.findall(r"^## (\S+)", PAGES["topics.md"], re.MULTILINE))
    addresses = {f"{each.method} {each.path}" for each in HttpWorld().api.endpoints()}
    assert addresses == set(re.findall(r"^\| `((?:GET|POST) \S+)`", PAGES["http.md"], re.MULTILINE))


def test_every_page_of_the_docs_is_in_the_menu() -> None:
    menu = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    entries = [entry for section in menu for entry in section.values()]
    listed = [page for entry in entries for page in ([entry] if isinstance(entry, str) else entry)]
    docs = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(docs | {name for name in site.FROM_ROOT if name.endswith(".md")})


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    site.main(tmp_path / "build" / "docs")
    (tmp_path / "zensical.toml").write_text((ROOT / "zensical.toml").read_text())
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    home = (tmp_path / "build" / "site" / "index.html").read_text()
    assert 'href="tutorial.html"' in home
    concepts = (tmp_path / "build" / "site" / "concepts.html").read_text()
    assert concepts.count('class="mermaid"') == 3
