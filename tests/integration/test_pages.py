"""What the pages of the documentation say can be done is done, block after block, on servers of their own."""

import io
import os
import re
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

from deploy.local import ports
from deploy.local import servers as local_servers
from deploy.local.process import Process
from streams.datasets.movielens import movielens
from streams.events import EVENT_TYPES, Click, Upload
from streams.producer import EventProducer
from streams.replay import play
from streams.settings import Settings, load
from tests.conftest import MODERATORS_KEY
from tests.encoders.conftest import say
from tests.encoders.training.deep.worlds import events, lines, two_tastes
from tests.integration.running import TopicReader, handled, until
from tests.integration.test_moderation import MAYBE
from tests.media import file_of, picture
from tests.pages import PAGES, ROOT, Block, block_of, blocks

pytestmark = pytest.mark.servers

WALKED = [page for page in PAGES if any(not each.not_run for each in blocks(page, "bash", "python"))]
WRITTEN = {
    "films.csv": ("knowledge.md", "csv"),
    "rules.yaml": ("rules.md", "yaml"),
    "plan.yaml": ("experiments.md", "yaml"),
}
"""File that pages name -> where it is written out."""

LESS = {
    "replay": "--events 200",
    "evaluate": "--clicks 100",
    "scale": "--items 200 --clicks-per-item 2",
    "train click": "--set epochs=1 --set parts=item --set width=8",
    "train tower": "--set epochs=1",
    "tune": "--trials 1 --set epochs=1",
}
"""Command -> options with which it has less to do."""


BEGAN = time.time() - 86_400


class Reader:
    """Somebody who does what pages say, in a folder that has the files they name; a worker and HTTP run beside."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._environment = os.environ | {
            "ANABRANCH_HOME": str(settings.home),
            "ANABRANCH_DOWNLOADS": str(settings.downloads_folder),
            "ANABRANCH_WORKER__EXPERIMENTS": str(folder / "plan.yaml"),
            "ANABRANCH_MODERATION__ENABLED": "true",
            "ANABRANCH_MODERATION__KEY": MODERATORS_KEY,
            "PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        (folder / ".venv").symlink_to(sys.prefix)
        for name, (page, language) in WRITTEN.items():
            (folder / name).write_text(block_of(page, language).text)
        (folder / "events.jsonl").write_text(lines(events(two_tastes(), since=0.0)))
        (folder / "moderation.key").write_text(MODERATORS_KEY)
        (folder / "apple.jpg").write_bytes(file_of(picture(1), "JPEG"))
        (folder / "question.ogg").write_bytes(say("A red apple."))
        for name in ("harmful", "harmless"):
            (folder / "FOLDER" / name).mkdir(parents=True)
            (folder / "FOLDER" / name / "picture.jpg").write_bytes(file_of(picture(2), "JPEG"))

    def prepare(self) -> None:
        """What a page presupposes: people who have clicked, films, an apple, uploads that wait for a moderator."""
        self._start()
        now, films = time.time(), movielens(self._settings.downloads_folder).uploads
        named = [film for film in films if film.item_id in ("50", "179", "1", "2", "3", "m-1")]
        held = [Upload(event_id=f"{item}-{now}", ts=now, item_id=item, title=MAYBE) for item in ("m-17", "m-18")]
        drawn = b64encode((self._folder / "apple.jpg").read_bytes()).decode()
        apple = Upload(
            event_id=f"apple-{now}",
            ts=now,
            item_id="apple",
            title="A red apple",
            media={"image": f"data:;base64,{drawn}"},
            attributes=["genre=Fruit"],
        )
        clicks = [
            Click(event_id=f"{user}-{item}-{now}", ts=now, user_id=user, item_id=item)
            for user in ("196", "593", "ada")
            for item in ("1", "2", "3")
        ]
        queue = TopicReader(self._settings, "moderation.queue")
        with EventProducer(self._settings.kafka.address) as producer:
            play(producer, [*named, *held, apple, *events(two_tastes(users=20), since=BEGAN)])
            assert len(queue.read(len(held), patience=600)) >= len(held), "nothing waits for a moderator"
            play(producer, clicks)
        queue.close()
        self._wait()

    def do(self, block: Block) -> None:
        """Fails where the block does, with what it printed."""
        text = self._here(block.text)
        if block.language == "python":
            with redirect_stdout(io.StringIO()):
                exec(compile(text, str(block), "exec"), {})
        else:
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", _less(text)],
                cwd=self._folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{block}, ends with {done.returncode}:\n{text}\n{done.stdout[-4000:]}"
        self._wait()

    def _start(self) -> None:
        """What has ended, as the worker does by `anabranch rebuild`."""
        http, worker = local_servers.ours(self._settings)
        for process, command in ((worker, "worker"), (http, "serve")):
            if process.find() is None:
                process.start([sys.executable, "-m", "streams.cli", command], env=self._environment)
        ports = (self._settings.metrics.port, self._settings.http.port)
        for process, port in zip((worker, http), ports, strict=True):
            until(partial(_is_ready, process, port), patience=600)

    def _wait(self) -> None:
        """Until the worker has handled all that was sent, or has ended, as pages make it."""
        worker = local_servers.worker_process(self._settings)
        until(lambda: worker.find() is None or handled(self._settings, *EVENT_TYPES), patience=600)

    def _here(self, text: str) -> str:
        """With the addresses of here, and a place that our log has."""
        ours = {
            "127.0.0.1:9092": self._settings.kafka.address,
            "127.0.0.1:8020": f"127.0.0.1:{self._settings.http.port}",
            "events.click:3:120417": "events.click:3:1",
        }
        for usual, here in ours.items():
            text = text.replace(usual, here)
        return text


def _less(text: str) -> str:
    """Commands that take long with less to do; the worker and HTTP run already, and to the end."""
    text = re.sub(r"\S*anabranch (worker|serve|down)\b[^#\n]*", "true  ", text)
    for command, options in LESS.items():
        text = re.sub(rf"(anabranch {command}(?=\s)[^#&\n]*)", rf"\1 {options} ", text)
    return text


def _is_ready(process: Process, port: int) -> bool:
    assert process.find() is not None, process.last_words()
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """On servers of their own: a page may rebuild all, and `verify` shall meet nothing that other tests have left."""
    downloads = load().downloads_folder.resolve()
    settings = ports.choose_all(load(home=tmp_path_factory.mktemp("home"), downloads=downloads))
    try:
        yield Reader(local_servers.up(settings), tmp_path_factory.mktemp("pages"))
    finally:
        local_servers.down(settings)


@pytest.mark.parametrize("page", WALKED, ids=lambda page: page.name)
def test_a_page_can_be_done_from_top_to_bottom(page: Path, reader: Reader) -> None:
    reader.prepare()
    for block in blocks(page, "bash", "python"):
        if not block.not_run:
            reader.do(block)
