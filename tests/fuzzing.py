"""Messages of every kind that a stranger, a bug or a bad disk could put into a topic, from a seed."""

import base64
import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from encoders.contract import DIM
from streams.events import EVENT_TYPES
from streams.ports import Incoming
from streams.replica import INTERACTIONS, ITEMS

NOW = 1_700_000_000.0
FICKLE = [f"f{n}" for n in range(20)]  # who ask to be forgotten, and change their minds about profiling
USERS = (
    [f"u{n}" for n in range(200)]
    + FICKLE
    + ["ünïcode ☃", "'; DROP TABLE users; --", " ", "\u2028", "x" * 128, "\U0001f600"]
)
ITEM_IDS = [f"i{n}" for n in range(300)] + ["日本", "../../etc/passwd", "%s%n", "y" * 128, "null"]
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2, 2**31, -(2**63), 2**64, 10**400, 0.0, -0.0, 0.5, 1.0, 5e-324, 1e-9, 1e308, -1e308,
    "", " ", "0", "1", "NaN", "null", "\x00", "a\nb", "\ud800", "\u202e", "x" * 129, "x" * 5_000, [], [[]], [None], {},
    {"": None}, {"a": {"b": [1, {"c": None}]}}, [1] * 200, NOW, NOW + 299, NOW + 301, 1.0, 4e9, "9" * 400,
]  # fmt: skip
LITERALS = [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e-999", b"0x10", b"01", b"+1", b"1.", b"'a'"]
SCRAPS = [
    b"",
    b"\x00",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\",
    b",",
    b":",
    b"\xff",
    b"\xc3\x28",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
]
DEEP = b'{"deep":' + b"[" * 3_000 + b"]" * 3_000 + b"}"
QUIET = 10_000  # inputs up to which nothing is shown
SHARES = {"events": 0.7, "logs": 0.1, "requests": 0.2}  # of as many inputs as are wanted
WEIGHTS = {
    "events.click": 36,
    "events.view": 36,
    "events.upload": 9,
    "events.profile": 9,
    "events.query": 9,
    "events.forget": 5,
}
MODALITIES = ("fused", "text", "image", "audio", "speech", "video")
REPEATED_WITHIN = 500  # messages: far within the window of a user's event ids


class Fuzzer:
    """Draws messages: good events, events with odd but allowed values, wrong ones, garbled ones, and noise.

    features  of the ranker, which lessons speak of
    """

    def __init__(self, seed: int, features: int = 2) -> None:
        self._features = features
        self._chance = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self._good: dict[str, Callable[[], dict[str, Any]]] = {
            "events.click": self._interaction,
            "events.view": self._interaction,
            "events.upload": self._upload,
            "events.profile": self._profile,
            "events.query": self._query,
            "events.forget": self._forget,
            ITEMS: self._embedded,
            INTERACTIONS: self._learned,
            "recommendations": self._list,
            "experiments": self._outcome,
            "moderation.queue": self._held,
        }
        self._drawn = 0

    def batch(self, topic: str, size: int) -> list[Incoming]:
        """Messages of one topic, as an agent hands them over."""
        return [self._message(topic) for _ in range(size)]

    def draw(self, topic: str) -> tuple[dict[str, Any], bytes | None]:
        """The fields of a message as they were meant, and its value."""
        self._drawn += 1
        chance = self._chance
        kind = topic if chance.random() < 0.97 else chance.choice(list(self._good))
        fields = self._good[kind]()
        fate = chance.random()
        if fate > 0.5:
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                self._harm(fields)
        value: bytes | None = json.dumps(fields, allow_nan=True).encode(errors="surrogatepass")
        if fate > 0.85:
            value = self._garbled(value or b"")
        if fate > 0.995:
            value = chance.choice((None, b"", DEEP, b"null", b"[]", b'"click"', chance.randbytes(200)))
        return fields, value

    def _message(self, topic: str) -> Incoming:
        fields, value = self.draw(topic)
        return Incoming(topic, 0, self._drawn, self._key(topic, fields), value, NOW - self._chance.random())

    def _key(self, topic: str, fields: dict[str, Any]) -> bytes | None:
        if self._chance.random() < 0.02:
            return self._chance.choice((None, b"", b"\xff\xfe", b"u1"))
        key = fields.get(EVENT_TYPES[topic].key_field)
        return str(key).encode(errors="surrogatepass")

    def _common(self) -> dict[str, Any]:
        chance = self._chance
        repeated = chance.random() < 0.05
        event_id = f"e{self._drawn - chance.randrange(REPEATED_WITHIN) * repeated}"
        ts = chance.choice(
            (NOW - chance.random() * 1e6, NOW, NOW + 300, chance.random(), 10 ** chance.uniform(-300, 9))
        )
        return {"event_id": event_id, "ts": ts}

    def _interaction(self) -> dict[str, Any]:
        chance = self._chance
        fields = self._common() | {"user_id": chance.choice(USERS), "item_id": chance.choice(ITEM_IDS)}
        extra = {"position": chance.randrange(10_001), "variant": "b", "dwell_s": 10 ** chance.uniform(-300, 4.9)}
        extra |= {"rating": chance.random(), "version": 1, "novel": {"of": "a newer producer"}}
        return fields | {name: extra[name] for name in chance.sample(list(extra), chance.randrange(4))}

    def _upload(self) -> dict[str, Any]:
        chance = self._chance
        fields = self._common() | {
            "item_id": chance.choice(ITEM_IDS),
            "title": chance.choice(("", "Alien", "ß" * 1000)),
        }
        media = {"image": "data:,x", "audio": "data:;base64,//79", "video": "file:///etc/passwd", "speech": "data:"}
        extra = {
            "text": chance.choice(("corrupt", "a ship", "\u0000\ufffd", "w " * 500)),
            "attributes": chance.choice(([], ["horror"], ["a"] * 100, [""])),
            "media": {name: media[name] for name in chance.sample(list(media), chance.randrange(4))},
            "withdrawn": chance.random() < 0.2,
        }
        return fields | {name: extra[name] for name in chance.sample(list(extra), chance.randrange(5))}

    def _profile(self) -> dict[str, Any]:
        chance = self._chance
        scalars: list[Any] = [each for each in ODD if isinstance(each, str | int | float | bool | None)]
        traits = {chance.choice(("age", "gender", "zip", "", "x")): chance.choice(scalars) for _ in range(3)}
        if chance.random() < 0.3:
            traits["likes"] = [chance.choice(("jazz", "", "ﬁ")) for _ in range(chance.randrange(5))]
        user_id = chance.choice(USERS)
        said = ("profiling", "use_profile") if user_id in FICKLE and chance.random() < 0.2 else ()
        return self._common() | {"user_id": user_id, "traits": traits} | {name: chance.random() < 0.7 for name in said}

    def _forget(self) -> dict[str, Any]:
        chance = self._chance
        return self._common() | {"user_id": chance.choice(FICKLE), "ts": NOW - chance.random() * 1e6}

    def _query(self) -> dict[str, Any]:
        chance = self._chance
        extra = {
            "user_id": chance.choice(USERS),
            "text": chance.choice(("", "a ship", "\u202e", "x" * 2_000)),
            "media": {"image": "data:,x"},
            "filters": {"genre": ["horror", "\u2028"]},
            "offset": chance.randrange(901),
            "limit": chance.randrange(1, 101),
            "personal": False,
        }
        return self._common() | {name: extra[name] for name in chance.sample(list(extra), chance.randrange(7))}

    def _embedded(self) -> dict[str, Any]:
        chance = self._chance
        upload = self._upload()
        del upload["event_id"]
        at = upload.pop("ts")
        names = chance.sample(MODALITIES, chance.randrange(1, 4))
        fields = upload | {"at": at, "vectors": {name: self._vector(DIM) for name in names}, "offset": self._drawn}
        return fields | {"refused": {"image": "TooLarge: 9 pixels"}} if chance.random() < 0.1 else fields

    def _learned(self) -> dict[str, Any]:
        chance = self._chance
        profile = self._vector(DIM) if chance.random() < 0.2 else ""
        touches = [self._touch() for _ in range(chance.randrange(1, 4))]
        forgets = chance.random() < 0.01
        return {"user_id": chance.choice(USERS), "worker": "w2", "profile": profile} | (
            {"touches": [], "forgotten": True} if forgets else {"touches": touches}
        )

    def _list(self) -> dict[str, Any]:
        chance = self._chance
        items = [
            {"item_id": each, "score": chance.random(), "reason": "similar", "because": "i1"}
            for each in chance.sample(ITEM_IDS, chance.randrange(4))
        ]
        fields = {"user_id": chance.choice(USERS), "list_version": chance.randrange(2**62), "items": items}
        times = {name: chance.choice((NOW, 0.0, 1e308, -1e308)) for name in ("event_ts", "published_at", "emitted_at")}
        return fields | times | {"event_ids": [f"e{self._drawn}"], "variants": {"colour": "red"}}

    def _outcome(self) -> dict[str, Any]:
        chance = self._chance
        arms = [{"colour": arm} for arm in ("red", "blue", "mauve")]
        fields = {"user": chance.choice(USERS), "at": NOW, "list_version": self._drawn, "items": chance.randrange(21)}
        fields |= {"variants": chance.choice(arms), "before": chance.choice((*arms, {})), "seconds": chance.random()}
        return fields | {"clicks": chance.choice((0, 2, 2**62)), "place": chance.randrange(11), "credit": {"red": 1}}

    def _held(self) -> dict[str, Any]:
        return {"upload": self._upload(), "scores": {"image": self._chance.random()}, "held_at": NOW}

    def _touch(self) -> dict[str, Any]:
        chance = self._chance
        touch = {"event_id": f"e{self._drawn}", "item_id": chance.choice(ITEM_IDS), "weight": chance.random()}
        touch["at"] = chance.choice((NOW - chance.random() * 1e6, NOW, chance.random(), 10 ** chance.uniform(-300, 9)))
        if chance.random() < 0.5:
            items = chance.sample(ITEM_IDS, chance.randrange(4))
            slope = self._vector(chance.choice((self._features, self._features, 1)))
            pulls = self._vector(len(items))
            touch["lesson"] = {"touches": chance.randrange(9), "slope": slope, "items": items, "pulls": pulls}
        return touch

    def _vector(self, size: int) -> str:
        """Numbers as JSON carries them; now and then some that are none, too many or too few."""
        chance = self._chance
        numbers = self._numbers.standard_normal(size).astype("<f4")
        if size and chance.random() < 0.05:
            numbers[chance.randrange(size)] = chance.choice((np.nan, np.inf, -np.inf, 3e38, 1e-45, 0.0))
        if chance.random() < 0.03:
            numbers = numbers * np.float32(chance.choice((0.0, 1e38, 1e-38)))
        data = numbers.tobytes()
        return base64.b64encode(data[:-1] if chance.random() < 0.01 else data).decode()

    def _harm(self, fields: dict[str, Any]) -> None:
        """Change one field, or take it away."""
        name = self._chance.choice(list(fields) or ["event_id"])
        match self._chance.randrange(4):
            case 0:
                fields.pop(name, None)
            case 1 if isinstance(fields.get(name), dict) and fields[name]:
                self._harm(fields[name])
            case 2 if isinstance(fields.get(name), str):
                fields[name] = "".join(self._chance.sample(fields[name] * 2, len(fields[name])))
            case _:
                fields[name] = copy.deepcopy(self._chance.choice(ODD))  # it may be harmed itself

    def _garbled(self, value: bytes) -> bytes:
        """A valid JSON text with bytes changed, cut out, doubled or put in."""
        chance = self._chance
        at, to = sorted((chance.randrange(len(value) + 1), chance.randrange(len(value) + 1)))
        match chance.randrange(6):
            case 0:
                return value[:at]
            case 1:
                return value[:at] + value[to:]
            case 2:
                return value[:to] + value[at:]
            case 3:
                return value[:at] + chance.choice(SCRAPS) + value[at:]
            case 4:
                return value.replace(b"1", chance.choice(LITERALS), 1)
            case _:
                garbled = bytearray(value)
                for _ in range(min(len(value), chance.randrange(1, 8))):
                    garbled[chance.randrange(len(value))] = chance.randrange(256)
                return bytes(garbled)


def batches(seed: int, count: int) -> Iterator[list[Incoming]]:
    """So many messages of the topics of events, in batches of one topic each."""
    fuzzer, chance = Fuzzer(seed), random.Random(seed)
    first = iter(WEIGHTS)  # however few are wanted, some of each
    while count > 0:
        topic = next(first, None)
        size = 30 if topic else chance.choice((1, 2, 30, 512))
        topic = topic or chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        size = min(count, size, 30 if topic == "events.forget" else 512)
        yield fuzzer.batch(topic, size)
        count -= size


def show(title: str, outcomes: Counter[str]) -> None:
    """What has become of a large number of inputs, for whoever ran them."""
    table = Table("", "inputs", title=title)
    for outcome, count in sorted(outcomes.items()):
        table.add_row(outcome, f"{count:,}")
    Console().print(table)
