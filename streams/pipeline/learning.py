"""What interactions teach: their users change, and all workers hear of it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs

from streams import metrics
from streams.core.memory.deniability import Deniability
from streams.core.recommender import Interaction, Taught, UserView
from streams.core.user import Touch, UserState, apply
from streams.core.vectors import to_bytes
from streams.events import Click, Learned, LearnedLesson, LearnedTouch, View
from streams.pipeline.lists import Lists
from streams.pipeline.policy import Policy
from streams.ports import Outgoing
from streams.replica import Replica
from streams.shown import Answers


def learn(
    users: Mapping[str, UserState],
    events: Sequence[Click | View],
    *,
    replica: Replica,
    policy: Policy,
    lists: Lists,
    deniability: Deniability | None = None,
    answers: Answers | None = None,
) -> list[Outgoing]:
    """Let interactions change their users; what the log of interactions is to hear of them.

    A repeated delivery changes nothing, but is logged again: the first attempt may have died before it was.

    lists        what their users hold: judged by the clicks
    deniability  what the log is told of touches; with it, nothing that depends on what was shown to whom
    answers      what answers to queries showed; None where clicks on them teach nothing of rankings
    """
    recommender, views = replica.recommender, {}
    rehearsal = recommender.rehearsal()
    touches: dict[str, list[LearnedTouch]] = {user_id: [] for user_id in users}
    counts: Counter[tuple[str, bool]] = Counter()
    for event in events:
        clicked = isinstance(event, Click)
        weight = policy.weight(event)
        user = users[event.user_id]
        if not user.consent.profiling:
            counts["events.click" if clicked else "events.view", True] += 1
            metrics.UNPROFILED.inc()
            continue
        if event.user_id not in views:
            # Who has a history is judged by what they were served: what their taste says is not asked for.
            known = len(user.history) > 0
            views[event.user_id] = UserView(user.user_id, user.history) if known else user.view(lists.weights(user))
        interaction = Interaction(event.event_id, event.user_id, event.item_id, event.ts, weight)
        taught, rankings = None, dict[str, float]()
        if deniability is None:
            if isinstance(event, Click) and answers is not None:
                rankings = answers.lesson(event)
            taught = recommender.judge(rehearsal, views[event.user_id], interaction)
        else:
            told = deniability.told(event.item_id, recommender.catalogue)
            interaction = structs.replace(interaction, item_id=told)
        fresh = apply(user, event.event_id, Touch(event.item_id, event.ts, weight))
        counts["events.click" if clicked else "events.view", fresh] += 1
        if isinstance(event, Click) and fresh:
            lists.clicked(user, event)
        touches[event.user_id].append(_touched(interaction, taught, rankings))
    for (topic, fresh), count in counts.items():
        (metrics.EVENTS if fresh else metrics.DUPLICATES).labels(topic).inc(count)
    return [_logged(users[user_id], each, replica) for user_id, each in touches.items() if each]


def _logged(user: UserState, touches: list[LearnedTouch], replica: Replica) -> Outgoing:
    known, own = replica.recommender.profile(user.user_id), user.profile if user.consent.use_profile else None
    news = own is not None and (known is None or not np.array_equal(known, own))
    profile = to_bytes(own) if news and own is not None else b""
    return replica.telling(Learned(user_id=user.user_id, touches=touches, worker=replica.worker, profile=profile))


def _touched(interaction: Interaction, taught: Taught | None, rankings: dict[str, float]) -> LearnedTouch:
    lesson = None
    if taught is not None:
        slope, pulls = to_bytes(taught.slope), to_bytes(taught.pulls)
        lesson = LearnedLesson(touches=taught.touches, slope=slope, items=taught.items, pulls=pulls)
    return LearnedTouch(
        event_id=interaction.event_id,
        item_id=interaction.item_id,
        at=interaction.at,
        weight=interaction.weight,
        lesson=lesson,
        rankings=rankings,
    )
