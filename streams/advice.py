"""What a shipped model has to say of lists: asked once for a whole micro-batch, and judged by what users then choose.

Without a shipped model nothing of this is called. Lists are made without a version that does not answer in time, which
is not asked again until Triton has told anew who is served by what.
"""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import structlog
from msgspec import structs
from numpy.typing import NDArray

from encoders.contract import DIM, HISTORY_LENGTH, RANKER_MAX_BATCH, Question, item_key
from streams import metrics
from streams.core.catalogue import Catalogue
from streams.core.experiments.plan import NO_MODEL
from streams.core.recommender import Advised, Draft, Recommender, UserView
from streams.core.residual import Residual, in_canary
from streams.errors import RankerUnavailable
from streams.events import Learned
from streams.ports import Arms, Scorer

FOLLOW_SECONDS = 2.0

Keys = NDArray[np.int64]

log = structlog.get_logger()


class Advice:
    """The models that are shipped, as one worker asks and judges them.

    least_weight  of a touch that models take for a click
    named         place of an arm of an experiment -> the version that it names
    """

    def __init__(self, scorer: Scorer, *, least_weight: float, named: Mapping[str, int] | None = None) -> None:
        self.arms = Arms()
        self.residual = Residual()
        self._scorer = scorer
        self._least_weight = least_weight
        self._named = named or {}
        self._keys = np.zeros(0, np.int64)
        self._compared = (0, 0)

    @property
    def serves(self) -> bool:
        """Whether there may be anybody whom a version is to serve."""
        return bool(self.arms.loaded or self._named)

    async def follow(self) -> None:
        """Keep asking who is served by what."""
        while True:
            try:
                self.serve(await self._scorer.arms())
            except RankerUnavailable as error:
                if self.arms != Arms():
                    log.warning("lists are made without the deep ranker", error=str(error))
                self.arms = Arms()
            await asyncio.sleep(FOLLOW_SECONDS)

    def serve(self, arms: Arms) -> None:
        """Ask these versions from now on; others than before start level."""
        if arms != self.arms:
            log.info("rankers that are served", stable=arms.stable, canary=arms.canary, share=arms.share)
            for where, version in self._named.items():
                if version not in arms.loaded:
                    log.warning(
                        "an arm names a version of the deep ranker that Triton does not have; its lists are made as"
                        " everybody's",
                        arm=where,
                        version=version,
                        mend=f"anabranch models load {version}",
                    )
        if (arms.stable, arms.canary) != self._compared:
            self._compared = arms.stable, arms.canary
            self.residual.start_level()
        self.arms = arms

    def version_of(self, user_id: str, named: int | str | None = None) -> int:
        """The version that serves a user; 0 for none.

        named  by the user's arm, or `NO_MODEL`; one that is not loaded, as it was taken back, gives way to everybody's
        """
        arms = self.arms
        if named == NO_MODEL:
            return 0
        if isinstance(named, int):
            if named in arms.loaded:
                return named
            metrics.ARM_WITHOUT_ITS_MODEL.labels(str(named)).inc()
        return arms.canary if arms.canary and in_canary(user_id, arms.canary, arms.share) else arms.stable

    def judge(self, catalogue: Catalogue, learned: Learned) -> None:
        """By what a user did, as the log tells it, where the lists made here are not those that workers hold."""
        if learned.forgotten:
            self.residual.forget(learned.user_id)
        for touch in learned.touches:
            if touch.weight >= self._least_weight:
                self.residual.choose(learned.user_id, catalogue.slot(touch.item_id))

    async def advise(
        self, recommender: Recommender, users: Sequence[tuple[UserView, float, int | str | None]]
    ) -> Mapping[str, Advised]:
        """User -> what a version says of their list; those whom none serves, or for whom none answers, are left out.

        users  with the time of their list, seconds since the epoch, and the version that their arm names
        """
        by_version: dict[int, list[tuple[UserView, float]]] = {}
        for user, at, named in users:
            if version := self.version_of(user.user_id, named):
                by_version.setdefault(version, []).append((user, at))
        found: dict[str, Advised] = {}
        for version, served in by_version.items():
            for start in range(0, len(served), RANKER_MAX_BATCH):
                found |= await self._ask(recommender, version, served[start : start + RANKER_MAX_BATCH])
        return found

    async def _ask(
        self, recommender: Recommender, version: int, users: Sequence[tuple[UserView, float]]
    ) -> dict[str, Advised]:
        drafts = [recommender.draft(user, at) for user, at in users]
        question = self._question(recommender.catalogue, [user for user, _ in users], drafts)
        if not question.candidates.size:
            return {}
        try:
            with metrics.stage("advise"):
                scores = await self._scorer.score(version, question)
        except RankerUnavailable as error:
            metrics.UNADVISED.labels(str(version)).inc(len(users))
            log.warning("lists are made without a version of the deep ranker", version=version, error=str(error))
            self.arms = _without(self.arms, version)
            return {}
        found = {}
        for (user, _), draft, row in zip(users, drafts, scores, strict=True):
            slots = draft.proposals.union
            logits = row[: len(slots)]
            self.residual.hold(user.user_id, version, slots, draft.scores, logits)
            found[user.user_id] = Advised(draft.proposals, self.residual.addition(version, logits))
        return found

    def _question(self, catalogue: Catalogue, users: Sequence[UserView], drafts: Sequence[Draft]) -> Question:
        """Shorter rows are filled up with 0."""
        keys = self._keys_of(catalogue)
        history = np.zeros((len(users), HISTORY_LENGTH), np.int64)
        profile = np.zeros((len(users), DIM), np.float32)
        candidates = np.zeros((len(users), max(len(each.proposals.union) for each in drafts)), np.int64)
        for row, (user, draft) in enumerate(zip(users, drafts, strict=True)):
            trail = user.history.trail(catalogue)
            clicked = trail.slots[trail.weights >= self._least_weight][-HISTORY_LENGTH:]
            history[row, HISTORY_LENGTH - len(clicked) :] = keys[clicked]
            candidates[row, : len(draft.proposals.union)] = keys[draft.proposals.union]
            if user.profile is not None:
                profile[row] = user.profile
        return Question(history, profile, candidates)

    def _keys_of(self, catalogue: Catalogue) -> Keys:
        """(items,) by slot."""
        if len(self._keys) < len(catalogue):
            new = [item_key(item_id) for item_id in catalogue.ids[len(self._keys) :]]
            self._keys = np.concatenate([self._keys, np.array(new, np.int64)])
        return self._keys


def _without(arms: Arms, version: int) -> Arms:
    """The users of a canary or an arm that is left out are served by the stable version; those of that one by none."""
    others = tuple(each for each in arms.others if each != version)
    if version == arms.canary:
        return structs.replace(arms, canary=0, share=0.0, others=others)
    if version == arms.stable:
        return structs.replace(arms, stable=0, others=others)
    return structs.replace(arms, others=others)
