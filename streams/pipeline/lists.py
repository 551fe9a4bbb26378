"""A list for a user, by the arm they are in; and what is held of it, to judge it by the clicks that come."""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import msgspec

from streams import metrics
from streams.advice import Advice
from streams.core.attention import modality_weights
from streams.core.digest import digest
from streams.core.evaluation import K
from streams.core.experiments import lists
from streams.core.experiments.assignment import Assigned, Assigner
from streams.core.experiments.attribution import Attribution, Given
from streams.core.experiments.plan import Plan
from streams.core.live_quality import LiveQuality
from streams.core.recommender import Advised
from streams.core.user import UserState
from streams.events import Click, Outcome, Recommendations, Recommended, encode
from streams.pipeline.intake import Accepted, latest_time
from streams.pipeline.policy import Policy
from streams.ports import Outgoing
from streams.replica import Replica

LISTS = "recommendations"
OUTCOMES = "experiments"

Wanted = Sequence[tuple[UserState, Sequence[Accepted]]]  # users, each with what their list is made for


class Lists:
    """Makes the lists of this worker's users.

    quality      how well those held do
    attribution  the lists of experiments; None where nothing is tried
    advice       the models that are shipped; None where none can be
    """

    def __init__(
        self,
        replica: Replica,
        policy: Policy,
        *,
        experiments: Plan | None,
        advice: Advice | None,
        clock: Callable[[], float],
    ) -> None:
        self.quality = LiveQuality(window=policy.quality_window, users=policy.cached_users)
        self.attribution = (
            Attribution(window=experiments.window_seconds, users=policy.cached_users) if experiments else None
        )
        self.advice = advice
        self._assigner = Assigner(experiments or Plan(), replica.recommender.settings)
        self._replica = replica
        self._policy = policy
        self._clock = clock

    def weights(self, user: UserState, base: Mapping[str, float] | None = None) -> dict[str, float]:
        """How much each modality speaks for the user; sums to 1."""
        return modality_weights(user.taste, self._replica.background, base or self._policy.modality_weights)

    async def make(self, wanted: Wanted) -> list[Recommendations]:
        """One list each, not yet stamped."""
        advised = await self._advise(wanted)
        with metrics.stage("rank"):
            return [self._list(user, causes, advised.get(user.user_id)) for user, causes in wanted]

    def hand_out(self, made: Sequence[Recommendations], users: Mapping[str, UserState]) -> list[Outgoing]:
        """Stamp them, and hold those of users who allow it; what to publish: them, and what came of those before."""
        emitted_at = self._clock()
        stamped = [_stamped(each, emitted_at) for each in made]
        profiled = [each for each in made if users[each.user_id].consent.profiling]
        outcomes = [_outcome(each, self.attribution) for each in profiled] if self.attribution is not None else []
        for each in profiled:
            self.quality.hold(each.user_id, [item.item_id for item in each.items])
        for each in made:
            metrics.EVENT_TO_LIST.observe(max(0.0, emitted_at - each.published_at))
        return [*stamped, *outcomes]

    def clicked(self, user: UserState, click: Click) -> None:
        """Judge what is held by a click that was not known before."""
        if not self.quality.click(click.user_id, click.item_id, self._group(user)):
            metrics.UNJUDGED.inc()
        if self.advice is not None:
            self.advice.residual.choose(click.user_id, self._replica.recommender.catalogue.slot(click.item_id))
        if click.query_id is None:
            self._put_down(click)
        elif click.position is not None:
            metrics.SEARCH_CLICKS.observe(click.position + 1)

    def forget(self, user_id: str) -> None:
        """Hold nothing of a user."""
        self.quality.forget(user_id)
        if self.attribution is not None:
            self.attribution.forget(user_id)
        if self.advice is not None:
            self.advice.residual.forget(user_id)

    def forget_all(self) -> None:
        """Hold no list; what has been judged stays."""
        self.quality.forget_lists()
        if self.attribution is not None:
            self.attribution.forget_lists()
        if self.advice is not None:
            self.advice.residual.forget_lists()

    def _put_down(self, click: Click) -> None:
        """To the list that the user holds, unless the click names an arm that had no part in it."""
        if click.position is not None:
            metrics.LIST_CLICKS.observe(click.position + 1)
            held_at = self.quality.place(click.user_id, click.item_id)
            if click.position < K and held_at is not None and held_at != click.position + 1:
                metrics.OTHER_LIST.labels("position").inc()
        if self.attribution is None:
            return
        if click.variant is not None and self.attribution.is_of_another(click.user_id, click.variant):
            metrics.OTHER_LIST.labels("variant").inc()
        else:
            self.attribution.click(click.user_id, click.item_id, self._clock())

    def _group(self, user: UserState) -> str:
        """Of users, by the trait whose values are told apart."""
        trait = self._policy.quality_trait
        return str(msgspec.json.decode(user.traits).get(trait, "")) if trait and user.traits else ""

    async def _advise(self, wanted: Wanted) -> Mapping[str, Advised]:
        """What shipped models say of these lists; nothing of those that are interleaved."""
        if self.advice is None or not self.advice.serves:
            return {}
        users = []
        for user, causes in wanted:
            assigned = self._assigned(user)
            if user.consent.profiling and not assigned.teams:
                view = user.view(self.weights(user, assigned.settings[0].fusion_weights))
                users.append((view, latest_time(causes), assigned.settings[0].model_version))
        return await self.advice.advise(self._replica.recommender, users)

    def _list(self, user: UserState, causes: Sequence[Accepted], advised: Advised | None) -> Recommendations:
        latest = latest_time(causes)
        assigned = self._assigned(user)
        weights = self.weights(user, assigned.settings[0].fusion_weights)
        best, arms = lists.make(
            self._replica.recommender,
            assigned,
            lambda base: user.view(self.weights(user, base) if base else weights),
            latest,
            self._policy.list_length,
            f"{user.user_id} {user.version}",
            advised,
        )
        return Recommendations(
            user_id=user.user_id,
            list_version=user.version,
            items=[
                Recommended(each.item_id, round(each.score, 6), each.reason, each.because, arm, each.shared)
                for each, arm in zip_longest(best, arms)
            ],
            event_ids=[event.event_id for _, event in causes],
            event_ts=latest,
            published_at=min(message.published_at for message, _ in causes),
            emitted_at=0.0,
            modalities={name: round(weight, 3) for name, weight in weights.items()},
            variants=dict(assigned.variants),
        )

    def _assigned(self, user: UserState) -> Assigned:
        """The user's arms; who allows no profiling is in none."""
        return self._assigner.assign(user.user_id) if user.consent.profiling else self._assigner.nowhere


def taken_back(user: UserState) -> Outgoing:
    """No list, in place of the user's; the version tells readers which lists are older."""
    return Outgoing(LISTS, user.user_id.encode(), None, (("list_version", str(user.version).encode()),))


def _stamped(each: Recommendations, emitted_at: float) -> Outgoing:
    each.emitted_at = emitted_at
    return Outgoing(LISTS, each.user_id.encode(), encode(each))


def _outcome(each: Recommendations, attribution: Attribution) -> Outgoing:
    """Hold the list, which is stamped, for its user; tell of it, and of what came of the one before."""
    teams = [item.arm for item in each.items[:K] if item.arm is not None]
    given = Given([item.item_id for item in each.items[:K]], teams, each.emitted_at, each.variants)
    before = attribution.hold(each.user_id, given) or Given([], [], 0.0, {})
    for experiment, arm in each.variants.items():
        metrics.EXPERIMENT_LISTS.labels(experiment, arm).inc()
    for experiment, arm in before.variants.items() if before.place else ():
        metrics.EXPERIMENT_HITS.labels(experiment, arm).inc()
    outcome = Outcome(
        user=digest(each.user_id).hex(),
        at=each.emitted_at,
        list_version=each.list_version,
        variants=each.variants,
        items=len(each.items),
        seconds=round(max(0.0, each.emitted_at - each.published_at), 6),
        before=dict(before.variants),
        clicks=before.clicks,
        place=before.place,
        credit=dict(before.credit),
    )
    return Outgoing(OUTCOMES, outcome.user.encode(), encode(outcome))
