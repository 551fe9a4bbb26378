"""Versions of the ranker: which there are, which one Triton serves to whom, and what each is.

    <models>/versions/N/             every version that was shipped
    <models>/repository/ranker/      what Triton serves of them; not there while it serves none
    <models>/state.json              which is stable, which is the canary, for what share of the users, and which are
                                     loaded for arms of experiments alone

A version is tried in Triton before it counts: it has to load there, answer what it answered when it was trained, and be
quick. What fails is taken out again, and what was served before goes on being served.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from deploy.local.downloads import locked
from encoders import contract
from encoders.contract import Question
from encoders.errors import WeightsUnusable
from encoders.ranker import TOLERANCE, check, verify
from encoders.training.deep.export import question
from streams.errors import AnabranchError, RankerUnavailable

SHIM = '''"""One version of the ranker: `encoders.ranker` in Triton's Python backend."""

from encoders.ranker import RankerModel


class TritonPythonModel(RankerModel):
    pass
'''
USERS, CANDIDATES, CALLS = 8, 128, 30
"""Of the calls that a version is timed by."""

SLOWEST_MS = 50.0
SLOWER = 2.0
"""Times as long as the stable version, at most."""

LOOKS = 5
"""At the speed of a version, before it is refused: a busy moment of the machine says nothing of it."""


class ModelRefused(AnabranchError):
    """A version that must not be served.

    reason  'corrupt', 'unloadable', 'wrong' or 'slow'
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class NoSuchVersion(AnabranchError):
    """A version is named that was never shipped, or that has no part in what is served."""


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is served: 0 stands for none.

    stable    version for everybody else
    canary    version for a share of the users
    previous  the stable version before this one
    others    versions for arms of experiments that name them, ascending
    """

    stable: int = 0
    canary: int = 0
    share: float = 0.0
    previous: int = 0
    others: list[int] = []

    @property
    def served(self) -> list[int]:
        """The versions that Triton has to have."""
        return sorted({self.stable, self.canary, *self.others} - {0})

    def served_to(self, number: int) -> str:
        """In words."""
        if number == self.canary:
            return f"{self.share:.0%}"
        if number == self.stable:
            return "everybody else" if self.canary else "everybody"
        return "arms that name it" if number in self.others else ""


class Server(Protocol):
    """Triton, as far as models are shipped to it."""

    def load(self, model: str) -> None:
        """Load what the repository has of it by now. Raises RankerUnavailable, and goes on with what it had."""

    def unload(self, model: str) -> None:
        """Serve it no more."""

    def ask(self, asked: Question, version: int) -> NDArray[np.float32]:
        """(n, m) logits of a version. Raises RankerUnavailable."""


def repository(models: Path) -> Path:
    """The folder that Triton loads from; made where it is missing."""
    folder = models / "repository"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Registry:
    """The versions in a folder, and the server that they are served by."""

    def __init__(self, models: Path, server: Server, clock: Callable[[], float] = time.perf_counter) -> None:
        self._models, self._server, self._clock = models, server, clock
        self._served = repository(models) / contract.RANKER_MODEL
        self._holds = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes what is served meanwhile, in whatever process; whoever has the lock may take it again."""
        if self._holds:
            yield
            return
        with locked(self._models / "lock"):
            self._holds = True
            try:
                yield
            finally:
                self._holds = False

    @property
    def state(self) -> State:
        path = self._models / "state.json"
        return msgspec.json.decode(path.read_bytes(), type=State) if path.exists() else State()

    def versions(self) -> dict[int, Mapping[str, Any]]:
        """Number -> what its `version.json` says, ascending."""
        return {number: json.loads((self._folder(number) / "version.json").read_text()) for number in self._numbers()}

    def ship(self, folder: Path) -> int:
        """Take in a version and try it; its number. Nothing is served by it yet. Raises ModelRefused."""
        try:
            verify(folder)
        except WeightsUnusable as error:
            raise ModelRefused("corrupt", str(error)) from error
        with self.locked():
            number = max(self.versions(), default=0) + 1
            shutil.copytree(folder, self._folder(number))
            (self._folder(number) / "model.py").write_text(SHIM)
            try:
                with self._trying(number):
                    self._examine(number)
            except AnabranchError:
                shutil.rmtree(self._folder(number))
                raise
            return number

    def canary(self, number: int, share: float) -> None:
        """Serve a version to a share of the users, 0 to 1, and the stable one to the others."""
        self._must_be_there(number)
        with self.locked():
            state = self.state
            if number == state.stable:
                raise NoSuchVersion(f"version {number} is the stable one already")
            self._serve(msgspec.structs.replace(state, canary=number, share=share))

    def promote(self) -> int:
        """Make the canary the stable version; its number."""
        with self.locked():
            state = self.state
            if not state.canary:
                raise NoSuchVersion("there is no canary to promote")
            self._serve(State(stable=state.canary, previous=state.stable, others=state.others))
            return state.canary

    def load(self, number: int) -> None:
        """Have Triton answer by a version where an arm of an experiment names it; nobody else is served by it."""
        self._must_be_there(number)
        with self.locked():
            state = self.state
            self._serve(msgspec.structs.replace(state, others=sorted({*state.others, number})))

    def unload(self, number: int) -> None:
        """Undo `load`. A version that is stable or the canary goes on as that."""
        with self.locked():
            state = self.state
            if number not in state.others:
                raise NoSuchVersion(
                    f"version {number} was not loaded for experiments; those that were: {_listed(state.others)}"
                )
            self._serve(_without(state, number))

    def roll_back(self) -> int:
        """Take back the canary, or where there is none the stable version for the one before it; what is stable now.

        What is taken back answers in experiments no more, either.
        """
        with self.locked():
            state = self.state
            if not state.canary and not state.stable:
                raise NoSuchVersion("no version is served, so there is nothing to roll back")
            if state.canary:
                after = State(stable=state.stable, previous=state.previous, others=state.others)
            else:
                after = State(stable=state.previous, others=state.others)
            self._serve(_without(after, state.canary or state.stable))
            return after.stable

    def milliseconds(self, number: int) -> float:
        """How long Triton takes for one call, in nine of ten cases; it has to be served."""
        asked, took = question(USERS, CANDIDATES, self._folder(number)), []
        for _ in range(CALLS):
            began = self._clock()
            self._server.ask(asked, number)
            took.append(self._clock() - began)
        return float(np.quantile(took, 0.9) * 1e3)

    def _examine(self, number: int) -> None:
        asked, expected = check(self._folder(number))
        apart = float(np.abs(self._server.ask(asked, number) - expected).max())
        if not apart <= TOLERANCE:
            raise ModelRefused(
                "wrong", f"version {number} answers up to {apart:.3g} off, where {TOLERANCE:g} is allowed"
            )
        stable = self.state.stable
        for _ in range(LOOKS):
            took, usual = self.milliseconds(number), self.milliseconds(stable) if stable else 0.0
            allowed = min(SLOWEST_MS, SLOWER * usual) if stable else SLOWEST_MS
            if took <= allowed:
                return
        raise ModelRefused(
            "slow",
            f"version {number} takes {took:.1f} ms for {USERS} users with {CANDIDATES} candidates each, where"
            f" {allowed:.1f} ms are allowed" + (f" (version {stable}: {usual:.1f} ms)" if stable else ""),
        )

    @contextmanager
    def _trying(self, number: int) -> Iterator[None]:
        """With a version in Triton that nobody is served by."""
        state = self.state
        try:
            self._put(state, also=number)
            try:
                self._server.load(contract.RANKER_MODEL)
            except RankerUnavailable as error:
                raise ModelRefused("unloadable", str(error)) from error
            yield
        finally:
            self._settle(state)

    def _serve(self, state: State) -> None:
        """Triton first: only what it has loaded is noted. Workers follow its configuration."""
        before = self.state
        try:
            self._put(state)
            if state.served:
                self._server.load(contract.RANKER_MODEL)
        except AnabranchError:
            self._settle(before)
            raise
        unfinished = self._models / "state.json.new"
        unfinished.write_bytes(msgspec.json.encode(state))
        unfinished.replace(self._models / "state.json")
        self._settle(state)

    def _settle(self, state: State) -> None:
        """Have Triton serve what is in the state, and nothing else."""
        self._put(state)
        if state.served:
            self._server.load(contract.RANKER_MODEL)
        else:
            self._server.unload(contract.RANKER_MODEL)
            shutil.rmtree(self._served, ignore_errors=True)

    def _put(self, state: State, also: int = 0) -> None:
        """Lay the repository for Triton."""
        served = sorted({*state.served, also} - {0})
        self._served.mkdir(parents=True, exist_ok=True)
        for number in served:
            if not (self._served / str(number)).exists():
                shutil.copytree(self._folder(number), self._served / str(number))
        (self._served / "config.pbtxt").write_text(config(state, served, self._numbers()))
        for folder in self._served.glob("[0-9]*"):
            if int(folder.name) not in served:
                shutil.rmtree(folder)

    def _must_be_there(self, number: int) -> None:
        if number not in (numbers := self._numbers()):
            raise NoSuchVersion(f"version {number} was never shipped; there are: {_listed(numbers)}")

    def _numbers(self) -> list[int]:
        """Of all versions that were shipped, ascending."""
        return sorted(int(folder.name) for folder in (self._models / "versions").glob("[0-9]*"))

    def _folder(self, number: int) -> Path:
        return self._models / "versions" / str(number)


def config(state: State, versions: Iterable[int], shipped: Iterable[int]) -> str:
    """`config.pbtxt`; its parameters tell workers who is served by what, and which versions there are."""
    parameters = {
        "stable": state.stable,
        "canary": state.canary,
        "share": state.share,
        "others": " ".join(map(str, state.others)),
        "shipped": " ".join(map(str, shipped)),
    }
    told = ",\n".join(
        f'  {{ key: "{name}" value: {{ string_value: "{value}" }} }}' for name, value in parameters.items()
    )
    return f"""\
name: "{contract.RANKER_MODEL}"
backend: "python"
max_batch_size: {contract.RANKER_MAX_BATCH}
input [
  {{ name: "{contract.HISTORY}" data_type: TYPE_INT64 dims: [ {contract.HISTORY_LENGTH} ] }},
  {{ name: "{contract.PROFILE}" data_type: TYPE_FP32 dims: [ {contract.DIM} ] }},
  {{ name: "{contract.CANDIDATES}" data_type: TYPE_INT64 dims: [ -1 ] }}
]
output [
  {{ name: "{contract.SCORE}" data_type: TYPE_FP32 dims: [ -1 ] }}
]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
version_policy {{ specific {{ versions: [ {", ".join(map(str, versions))} ] }} }}
parameters [
{told}
]
"""


def _without(state: State, number: int) -> State:
    """As it is, but for arms of experiments that name this version."""
    return msgspec.structs.replace(state, others=[each for each in state.others if each != number])


def _listed(versions: Iterable[int]) -> str:
    return ", ".join(map(str, versions)) or "none"
