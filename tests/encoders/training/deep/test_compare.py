"""Models side by side: what is told of them, and that what was found is not sought again."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from encoders.training.deep import compare
from encoders.training.deep.compare import Judged, by_group, costs, differences, table
from encoders.training.deep.content import ITEM, TEXT
from encoders.training.deep.judge import Verdict
from encoders.training.deep.log import splits
from encoders.training.deep.rankers import Shape
from encoders.training.deep.trainer import Training
from tests.encoders.training.deep.worlds import nobody, two_tastes, vectors

MODELS = {"towers": Shape("tower", parts=(TEXT,), width=8), "click": Shape("click", parts=(ITEM, TEXT), width=8)}
LOG = two_tastes()
CONTENT = {TEXT: vectors(40)}


def compared(kept: Path) -> Mapping[str, Judged]:
    training = Training(epochs=1, batch=256)
    return compare.compare(LOG, CONTENT, nobody(LOG), splits(LOG, 2), MODELS, training, kept=kept)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    compared(folder)
    return folder


def test_a_comparison_that_was_interrupted_trains_only_what_is_missing(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, trained = compared(kept), []
    one = sorted(kept.iterdir())[0]
    stored = one.read_bytes()
    one.unlink()
    monkeypatch.setattr(compare, "fit", lambda task, training: trained.append(task))
    compared(kept)
    assert len(trained) == 1
    one.write_bytes(stored)
    again = compared(kept)
    assert len(trained) == 1
    for name, judged in whole.items():
        np.testing.assert_array_equal(again[name].verdict.logits, judged.verdict.logits)


def test_the_tables_tell_every_model_with_what_it_takes(kept: Path) -> None:
    found = compared(kept)
    taken = costs(LOG, CONTENT, nobody(LOG), splits(LOG, 2)[-1], MODELS)
    clicks = len(found["click"].verdict.ranks)
    shown = table(found, taken).splitlines()
    assert [row.split(" | ")[0] for row in shown[2:]] == ["| towers", "| click"]
    assert 0 < taken["towers"].megabytes < taken["click"].megabytes and taken["click"].microseconds > 0
    assert len(differences(found, "towers").splitlines()) == 3
    assert f"other items, {clicks} clicks" in by_group(found, "towers"), "every item was clicked often in this world"


def test_groups_tell_where_a_model_is_better() -> None:
    """One click of two, and one other item of two, are new; only of these the second model is right."""

    def judged(logits: list[float]) -> Judged:
        rows = np.arange(4)
        clicked = np.array([True, True, False, False])
        verdict = Verdict(np.zeros(2), np.array(logits), clicked, np.zeros(4, int), rows, np.full(4, 9))
        return Judged(verdict, np.array([0, 9, 0, 9]), 1.0)

    found = {"plain": judged([0, 2, 1, 1]), "better": judged([2, 2, 1, 1])}
    groups = dict(compare.GROUPS)
    new, known = (found["plain"].verdict.some(groups[name](found["plain"])) for name in list(groups)[:2])
    assert (new.auc, known.auc) == (0.0, 1.0)
    row = by_group(found, "plain").splitlines()[-1]
    assert row.startswith("| better | **+1.000** (+1.000 to +1.000) | +0.000")


def test_rows_may_be_drawn_more_than_once_and_take_their_ranks_along() -> None:
    verdict = Verdict(
        ranks=np.array([0.0, 7.0]),
        logits=np.array([1.0, 2.0, 3.0, 4.0]),
        clicked=np.array([True, False, True, False]),
        who=np.arange(4),
        items=np.arange(4),
        before=np.arange(4),
    )
    drawn = verdict.some(np.array([2, 2, 3]))
    assert drawn.ranks.tolist() == [7.0, 7.0]
    assert drawn.logits.tolist() == [3.0, 3.0, 4.0]
    assert drawn.who.tolist() == [2, 2, 3]
