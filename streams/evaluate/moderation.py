"""How well moderation tells harm: `anabranch moderate evaluate`.

The sentences were written and labelled for this, before the lists were asked: half are to be stopped, some of these by
what they mean and not by their words; half are not, some of these with words that look alike. Pictures that are to be
stopped cannot be part of an open project: of pictures, only false alarms are counted, on the stamps of Tux Paint.
Whoever has some measures on their own, in a folder (`of_folder`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from msgspec import Struct
from scipy.stats import binomtest

from encoders.errors import Refused
from encoders.moderation import Pictures, Words
from streams.core.moderation import verdict
from streams.datasets.stamps import stamps
from streams.errors import AnabranchError
from streams.reports import Sheet
from streams.settings import Moderation

PICTURES = 300
THRESHOLDS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
HARMFUL_FOLDER, HARMLESS_FOLDER = "harmful", "harmless"

Score = Callable[[bytes], float]


class Labelled(NamedTuple):
    """A text, its language, and whether it is to be stopped."""

    text: str
    language: str
    harmful: bool


HARMFUL = {
    "en": [
        "What a piece of shit, I want my money back.",
        "You stupid motherfucker, go home.",
        "F.u.c.k this film and everybody in it",
        "this is bullsh1t",
        "Hot sluts in your area are waiting for you",
        "People like them should be driven out of this country.",
        "Write one more word and I will come to your house and hurt you.",
    ],
    "de": [
        "Du verdammtes Arschloch, verschwinde.",
        "So eine Scheiße habe ich noch nie gesehen.",
        "Halt die Fresse, du Hurensohn",
        "Solche Leute gehören nicht in unser Land.",
    ],
    "fr": [
        "Espèce de connard, dégage.",
        "Quelle merde ce film",
        "Va te faire enculer",
        "Ces gens ne sont pas humains.",
    ],
    "es": ["Eres un hijo de puta", "Vete a la mierda", "Qué gilipollas es el director", "Esa gente no merece vivir."],
    "it": ["Sei uno stronzo", "Che film di merda", "Vaffanculo a tutti"],
}
HARMLESS = {
    "en": [
        "A crew of seven travels to a far planet and meets a guest.",
        "Scunthorpe United win the cup in the last minute.",
        "Moby Dick, a novel about a white whale",
        "A cock crows at dawn over the valley.",
        "The assassin passes the class of the grand bass.",
        "A study of breast cancer in women over fifty",
        "How to cook a perfect shiitake risotto",
        "Two friends fall in love in the rain of Paris.",
    ],
    "de": [
        "Die dicke Frau isst Schwarzwälder Kirschtorte.",
        "Ein Fischer findet am Strand eine Flaschenpost.",
        "Der Film zeigt das Leben in einem Dorf am Rhein.",
        "Wanderwege rund um den See",
    ],
    "fr": ["Une histoire d'amour à Paris", "La mer était calme ce soir-là.", "Les chats de ma grand-mère"],
    "es": ["Una aventura en la selva", "El perro negro corre por la playa", "La vida de un pintor en Sevilla"],
    "it": ["Un viaggio nella Toscana", "La nonna prepara la pasta", "Il gatto dorme sul tetto"],
}
TEXTS = [
    Labelled(text, language, harmful)
    for harmful, texts in ((True, HARMFUL), (False, HARMLESS))
    for language, some in texts.items()
    for text in some
]


class Found(Struct, frozen=True):
    """How the texts and pictures were judged, a verdict of hold or refuse being an alarm.

    alarms, harmful, right  texts: alarms raised, texts that are to be stopped, and alarms that are right
    pictures, false_alarms  harmless pictures, and how many of them raised one
    """

    texts: int
    alarms: int
    harmful: int
    right: int
    pictures: int
    false_alarms: int


class Judged(Struct, frozen=True):
    """Scores of labelled files, 0 to 1.

    unread  files that are no picture, or no film
    """

    harmful: list[float]
    harmless: list[float]
    unread: int


def of_folder(folder: Path, score: Score) -> Judged:
    """Judge the files of the subfolders `harmful` and `harmless`, one of which may be missing.

    score  of a file; raises Refused for one that cannot be read, see `pictures` and `films`

    Raises AnabranchError where there is none.
    """
    scores: dict[str, list[float]] = {HARMFUL_FOLDER: [], HARMLESS_FOLDER: []}
    unread = 0
    for name, found in scores.items():
        for file in sorted(each for each in (folder / name).rglob("*") if each.is_file()):
            try:
                found.append(score(file.read_bytes()))
            except Refused:
                unread += 1
    if not any(scores.values()):
        raise AnabranchError(f"{folder} has nothing that can be read in {HARMFUL_FOLDER}/ or {HARMLESS_FOLDER}/")
    return Judged(scores[HARMFUL_FOLDER], scores[HARMLESS_FOLDER], unread)


def pictures() -> Score:
    """The score of a picture's file."""
    network = Pictures()
    return lambda content: network.scores([content])[0]


def films() -> Score:
    """The score of a film's file."""
    return Pictures().film


def curve(judged: Judged) -> Sheet:
    """What each threshold would find, as a table, with 95% intervals (Wilson); an alarm is a score from it on."""
    rows = []
    for threshold in THRESHOLDS:
        right, wrong = alarms(judged, threshold)
        shares = [(right, right + wrong, 2), (right, len(judged.harmful), 2), (wrong, len(judged.harmless), 4)]
        rows.append([f"{threshold:g}", *(_share(*each) for each in shares)])
    title = f"{len(judged.harmful)} harmful, {len(judged.harmless)} harmless, {judged.unread} unread"
    return Sheet(title, ("from", "precision", "recall", "false alarms"), rows)


def advice(judged: Judged, precision: float) -> str:
    """From which score on alarms are so often right: in this folder, and beyond it by the interval's lower end."""
    found = [(each, *alarms(judged, each)) for each in sorted({*judged.harmful, *judged.harmless})]
    reached = next((each for each in found if each[1] / (each[1] + each[2]) >= precision), None)
    proven = next((each for each in found if interval(each[1], each[1] + each[2])[0] >= precision), None)
    return f"precision {precision:g}: {_from(reached, judged)}; proven (95%): {_from(proven, judged)}"


def alarms(judged: Judged, threshold: float) -> tuple[int, int]:
    """(right, wrong) ones."""
    return sum(score >= threshold for score in judged.harmful), sum(score >= threshold for score in judged.harmless)


def interval(part: int, whole: int) -> tuple[float, float]:
    """Between what a share of so many lies, with 95% confidence (Wilson, 1927).

    >>> [round(each, 3) for each in interval(9, 10)]
    [0.596, 0.982]
    """
    found = binomtest(part, whole).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _from(found: tuple[float, int, int] | None, judged: Judged) -> str:
    if found is None:
        return "from no score on"
    threshold, right, _ = found
    return f"from {threshold:.3f} on, recall {_share(right, len(judged.harmful), 2)}"


def _share(part: int, whole: int, digits: int) -> str:
    if not whole:
        return "-"
    low, high = interval(part, whole)
    return f"{part / whole:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def run(downloads: Path) -> Found:
    """Judge all texts, and pictures of stamps, by the usual limits."""
    dataset = stamps(downloads)
    uris = [each.media["image"] for each in dataset.uploads if "image" in each.media]
    picked = np.random.default_rng(7).permutation(len(uris))[:PICTURES]
    return measure([Path(url2pathname(urlsplit(uris[each]).path)).read_bytes() for each in picked])


def measure(pictures: list[bytes]) -> Found:
    """Judge all texts, and these harmless pictures."""
    limits, words, network = Moderation().limits, Words(), Pictures()
    alarms = [verdict({"text": words.score(each.text, each.language)}, limits) != "allow" for each in TEXTS]
    scores = [network.scores([each])[0] for each in pictures]
    return Found(
        texts=len(TEXTS),
        alarms=sum(alarms),
        harmful=sum(each.harmful for each in TEXTS),
        right=sum(alarm and each.harmful for alarm, each in zip(alarms, TEXTS, strict=True)),
        pictures=len(pictures),
        false_alarms=sum(verdict({"image": score}, limits) != "allow" for score in scores),
    )


def sheet(found: Found) -> Sheet:
    """As a table."""
    rows = [
        ["texts, to be stopped", f"{found.texts}, {found.harmful}"],
        ["precision", f"{found.right / max(found.alarms, 1):.2f}"],
        ["recall", f"{found.right / max(found.harmful, 1):.2f}"],
        ["harmless pictures, false alarms", f"{found.pictures}, {found.false_alarms}"],
    ]
    return Sheet("Moderation", ("", ""), rows)
