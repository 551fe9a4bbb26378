"""Business rules from a YAML file: checked as a whole, with every mistake named, and read again when it changes.

rules:
  - name: festival
    pin: 1
    items: [m-17]
    from: 2026-12-01T18:00:00+01:00
    until: 2026-12-08
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
import structlog
import yaml
from msgspec import Meta, Struct

from streams import metrics
from streams.core.rules import Rule, RuleBook, Span, Trait
from streams.core.search.labels import HAS, LANGUAGE
from streams.errors import AnabranchError
from streams.replica import Replica

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
MAX_RULES = 500

Name = Annotated[str, Meta(min_length=1, max_length=100)]
Values = Annotated[list[str | int | float | bool], Meta(min_length=1, max_length=1_000)]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]

log = structlog.get_logger()


class RulesError(AnabranchError):
    """A file of rules cannot be used; the message names the file, and of each mistake the rule and the field."""


class Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"with_": "with", "from_": "from"}):
    """A rule as it is written; see `core.rules.Rule`.

    from_, until  when it begins and ends; a date is its first moment in `zone`, as is a time without an offset
    days, hours   weekly, such as [sat, sun] and "18:00-24:00", or over midnight "22:00-04:00", in `zone`
    zone          a name of the time zone database
    """

    name: Name
    pin: Annotated[int, Meta(ge=1, le=200)] | None = None
    boost: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    exclude: bool = False
    cap: Annotated[int, Meta(ge=0, le=200)] | None = None
    per: Annotated[str, Meta(min_length=1, pattern=r"^[^=]*$")] | None = None
    items: Annotated[list[Name], Meta(min_length=1, max_length=10_000)] | None = None
    with_: Annotated[dict[Name, Values], Meta(min_length=1)] | None = None
    audience: dict[Name, Span | Values] = {}
    from_: Any = None
    until: Any = None
    days: Annotated[list[Day], Meta(min_length=1)] | None = None
    hours: Clock | None = None
    zone: str = "UTC"


def read(path: Path) -> list[Rule]:
    """The rules of a file. Raises RulesError, which names every mistake."""
    try:
        parsed = yaml.safe_load(path.read_text())
    except OSError as error:
        raise RulesError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RulesError(f"{path} is no YAML: {error}") from error
    if not isinstance(parsed, dict) or set(parsed) != {"rules"} or not isinstance(parsed["rules"], list):
        raise RulesError(f"{path}: a list named `rules` is expected, and nothing else")
    if len(parsed["rules"]) > MAX_RULES:
        raise RulesError(f"{path}: {len(parsed['rules'])} rules, where {MAX_RULES} are allowed")
    rules: list[Rule] = []
    mistakes: list[str] = []
    for number, given in enumerate(parsed["rules"], 1):
        where = f"{path}, rule {number}"
        if isinstance(given, dict) and isinstance(given.get("name"), str):
            where += f" ({given['name']!r})"
        try:
            rules.append(_rule(msgspec.convert(given, Written)))
        except (msgspec.ValidationError, ValueError) as error:
            mistakes.append(f"{where}: {_plain(str(error))}")
    twice = [name for name, same in groupby(sorted(rule.name for rule in rules)) if len(list(same)) > 1]
    mistakes += [f"{path}: the name {name!r} is given to more than one rule" for name in twice]
    if mistakes:
        raise RulesError("\n".join(mistakes))
    return rules


def described(rule: Rule) -> tuple[str, str, str]:
    """What a rule does, to which items, for whom, in words.

    >>> described(Rule(name="young", exclude=True, with_={"tag": ["horror"]}, audience={"age": Span(below=16)}))
    ('exclude', 'tag: horror', 'age: below 16')
    """
    does = rule.does if rule.exclude else f"{rule.does} {getattr(rule, rule.does):g}"
    about = [", ".join(rule.items), *(f"{name}: {', '.join(values)}" for name, values in rule.with_.items())]
    people = [f"{name}: {_said(allowed)}" for name, allowed in rule.audience.items()]
    per = f" per {rule.per}" if rule.per else ""
    return does + per, "; ".join(filter(None, about)) or "all", "; ".join(people) or "everybody"


def _said(allowed: Trait) -> str:
    if not isinstance(allowed, Span):
        return ", ".join(map(str, allowed))
    least = f"at least {allowed.least:g}" if allowed.least > -math.inf else ""
    below = f"below {allowed.below:g}" if allowed.below < math.inf else ""
    return " and ".join(filter(None, (least, below))) + (" or unknown" if allowed.or_unknown else "")


@asynccontextmanager
async def kept(path: Path | None, replica: Replica) -> AsyncIterator[None]:
    """Have lists keep to the rules of a file, as it is now and whenever it changes; without a file, to none.

    Raises RulesError where the file cannot be used at the start.
    """
    if path is None:
        yield
        return
    file = RulesFile(path, replica)
    file.load()
    keeping = asyncio.create_task(file.keep())
    try:
        yield
    finally:
        keeping.cancel()


class RulesFile:
    """Keeps the rules of a replica's lists as the file has them."""

    def __init__(self, path: Path, replica: Replica) -> None:
        self._path = path
        self._replica = replica
        self._changed_at: float | None = None
        self._book = RuleBook((), replica.recommender.catalogue)

    def load(self) -> None:
        """Read the file. Raises RulesError."""
        self._changed_at = self._last_change()
        recommender = self._replica.recommender
        self._book = recommender.rules = RuleBook(read(self._path), recommender.catalogue)
        metrics.RULES.set(len(self._book.rules))

    async def keep(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(1)
            self.refresh()

    def refresh(self) -> None:
        """Read the file again if it has changed, and count what the rules have done; mistakes keep the old ones."""
        for name, lists in self._book.uses.items():
            metrics.RULE_USES.labels(name).inc(lists)
        self._book.uses.clear()
        if self._last_change() == self._changed_at:
            return
        try:
            self.load()
        except RulesError as error:
            metrics.RULES_REFUSED.inc()
            log.error("rules stay as they were", mistakes=str(error).splitlines())
        else:
            log.info("rules have changed", file=str(self._path), rules=len(self._book.rules))

    def _last_change(self) -> float | None:
        try:
            return self._path.stat().st_mtime
        except OSError:
            return None


def _rule(written: Written) -> Rule:
    """Raises ValueError: `field: what is wrong`."""
    done = [name for name in ("pin", "boost", "cap") if getattr(written, name) is not None]
    done += ["exclude"] if written.exclude else []
    if len(done) != 1:
        raise ValueError(f"{', '.join(done) or 'nothing'}: a rule does one of pin, boost, exclude and cap")
    if written.per is not None and written.cap is None:
        raise ValueError("per: only a cap counts apart")
    if written.pin is not None and not (written.items or written.with_):
        raise ValueError("pin: name items, or what they are `with`")
    for name in (LANGUAGE, HAS):
        if name in (written.with_ or {}):
            raise ValueError(f"with.{name}: rules know attributes alone")
    return Rule(
        name=written.name,
        pin=written.pin,
        boost=written.boost,
        exclude=written.exclude,
        cap=written.cap,
        per=written.per or "",
        items=written.items or (),
        with_={name: [str(value) for value in values] for name, values in (written.with_ or {}).items()},
        audience=_audience(written.audience),
        active=_active(written),
    )


def _audience(written: Mapping[str, Span | Sequence[Any]]) -> dict[str, Trait]:
    for name, allowed in written.items():
        if isinstance(allowed, Span) and not allowed.least < allowed.below:
            raise ValueError(f"audience.{name}: no number is at least {allowed.least:g} and below {allowed.below:g}")
    return {name: allowed if isinstance(allowed, Span) else list(allowed) for name, allowed in written.items()}


def _active(written: Written) -> Callable[[float], bool]:
    try:
        zone = ZoneInfo(written.zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"zone: {written.zone!r} is not in the time zone database") from None
    begins, ends = _moment("from", written.from_, zone), _moment("until", written.until, zone)
    if begins is not None and ends is not None and begins >= ends:
        raise ValueError("until: is not after from")
    days = frozenset(DAYS.index(day) for day in written.days or DAYS)
    opens, closes = _hours(written.hours) if written.hours else (timedelta(0), timedelta(days=1))

    def active(at: float) -> bool:
        return (begins is None or at >= begins) and (ends is None or at < ends)

    def weekly(at: float) -> bool:
        if not active(at):
            return False
        here = datetime.fromtimestamp(at, zone)
        since = here - datetime.combine(here.date(), time(), zone)
        if opens < closes:
            return here.weekday() in days and opens <= since < closes
        # over midnight: what began on a day goes on in the next one's small hours
        return (here.weekday() in days and since >= opens) or ((here.weekday() - 1) % 7 in days and since < closes)

    return weekly if written.days or written.hours else active


def _moment(name: str, given: Any, zone: ZoneInfo) -> float | None:
    """What YAML has made a time or a date of, in seconds since the epoch."""
    if given is None:
        return None
    if not isinstance(given, date):  # as a datetime is, too
        raise ValueError(f"{name}: {given!r} is neither a date nor a time, such as 2026-12-01T18:00:00")
    moment = given if isinstance(given, datetime) else datetime.combine(given, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC).timestamp()


def _hours(given: str) -> tuple[timedelta, timedelta]:
    opens, closes = (
        timedelta(hours=int(each.partition(":")[0]), minutes=int(each.partition(":")[2])) for each in given.split("-")
    )
    if opens == closes:
        raise ValueError("hours: begin when they end")
    return opens, closes


def _plain(error: str) -> str:
    """msgspec's message, the field first.

    >>> _plain("Expected `int`, got `str` - at `$.pin`")
    'pin: Expected `int`, got `str`'
    """
    what, at, where = error.partition(" - at `$.")
    return f"{where.rstrip('`')}: {what}" if at else what
