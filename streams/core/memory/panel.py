"""The experts together: made from the settings, taught and asked as one."""

from streams.core.catalogue import Catalogue
from streams.core.memory.audience import Audience
from streams.core.memory.content import Content, Nearest
from streams.core.memory.covisits import Closeness, Covisits
from streams.core.memory.embedding import Embedding, Pool
from streams.core.memory.expert import Expert, Request, Scratch, Slots, State
from streams.core.memory.graph import Graph
from streams.core.memory.knowledge import Knowledge
from streams.core.memory.neighbours import Neighbours
from streams.core.memory.popularity import Leaders, Popularity
from streams.core.memory.rows import Rows
from streams.core.memory.sessions import Sessions
from streams.core.memory.settings import ALL_EXPERTS, EMBEDDING, GRAPH, RecommenderSettings
from streams.core.memory.sizes import Sizes
from streams.core.memory.stage import Stage
from streams.core.ranking import NOTHING_PASSED, Candidates, Passed, Proposals


class Panel:
    """The experts that the settings name; the last scores what the others propose."""

    def __init__(
        self,
        settings: RecommenderSettings,
        catalogue: Catalogue,
        sessions: Sessions,
        nearest: Nearest | None = None,
    ) -> None:
        if unknown := set(settings.experts) - set(ALL_EXPERTS):
            raise ValueError(f"experts: {sorted(unknown)} are unknown; there are {', '.join(ALL_EXPERTS)}")
        capacity = catalogue.capacity
        self.scratch = Scratch(capacity)
        self.sizes = Sizes(
            capacity,
            half_life=settings.size_half_life,
            past_power=settings.past_power,
            proposed_power=settings.proposed_power,
        )

        self.knowledge = Knowledge(self.scratch)

        def leaders(half_life: float) -> Leaders:
            return Leaders(capacity, half_life=half_life, room=settings.leaders)

        def rows() -> Rows:
            return Rows(capacity, settings.covisit_width, settings.covisit_half_life)

        def covisits(
            name: str,
            learned: Closeness,
            spoken: Closeness,
            window: int,
            one_way: bool = False,
            held: Rows | None = None,
        ) -> Covisits:
            return Covisits(
                name,
                self.scratch,
                self.sizes,
                held or rows(),
                learned=learned,
                spoken=spoken,
                window=window,
                one_way=one_way,
            )

        popular = leaders(settings.popular_half_life)
        stages = [leaders(settings.stage_half_life) for _ in range(settings.stages)]
        moment = Closeness(seconds=settings.moment_seconds)
        every: list[Expert] = [
            Popularity("popular", popular),
            Popularity("trending", leaders(settings.trending_half_life)),
            Stage(stages, finer=settings.stages_finer),
            covisits(
                "sequence",
                Closeness(steps=settings.sequence_learned),
                Closeness(steps=settings.sequence_spoken),
                settings.similar_window,
                one_way=True,
            ),
            covisits(
                "similar",
                Closeness(steps=settings.similar_learned),
                Closeness(steps=settings.similar_spoken),
                settings.similar_window,
            ),
            covisits("moment", moment, moment, settings.moment_window),
            Neighbours(
                self.scratch,
                sessions,
                self.sizes,
                capacity,
                visits=settings.neighbours_visits,
                depth=settings.neighbours_depth,
                recency=settings.neighbours_recency,
                speakers=settings.neighbours_speakers,
                nearness=settings.neighbours_nearness,
            ),
            Content(catalogue, exact=settings.content_exact, nearest=nearest),
            Audience(
                popular,
                capacity,
                half_life=settings.audience_half_life,
                considered=settings.audience_considered,
            ),
        ]
        if GRAPH in settings.experts:
            edges = Closeness(steps=settings.graph_learned)
            table = rows()
            every.append(
                Graph(
                    self.scratch,
                    self.sizes,
                    table,
                    covisits(GRAPH, edges, edges, settings.similar_window, held=table),
                    self.knowledge,
                    depth=settings.graph_depth,
                    half_life=settings.graph_half_life,
                    width=settings.graph_width,
                )
            )
        every.append(self.knowledge)
        self._pool = Pool()
        if EMBEDDING in settings.experts:
            every.append(
                Embedding(
                    self._pool,
                    capacity,
                    dim=settings.embedding_dim,
                    depth=settings.embedding_depth,
                    half_life=settings.embedding_half_life,
                    negatives=settings.embedding_negatives,
                    recent=settings.embedding_recent,
                    rate=settings.embedding_rate,
                )
            )
        self.experts = [expert for expert in every if expert.name in settings.experts]

    def learn(self, request: Request, slot: int, weight: float) -> None:
        """See `Expert.learn`."""
        self.sizes.add(slot, request.at, weight)
        for expert in self.experts:
            expert.learn(request, slot, weight)

    def propose(self, request: Request, candidates: Candidates, passed: Passed = NOTHING_PASSED) -> Proposals:
        """Gather what the experts propose; the result is valid until the next request."""
        for place, expert in enumerate(self.experts):
            room = candidates.room
            if expert.name == Embedding.name:
                self._pool.slots = candidates.gather(place)
                room = len(self._pool.slots)
            slots, scores = candidates.slots[place, :room], candidates.scores[place, :room]
            candidates.counts[place] = expert.propose(request, slots, scores)
        return candidates.merge(passed)

    def because(self, place: int, request: Request, slots: Slots) -> Slots:
        """See `Expert.because`, of the expert in that place."""
        return self.experts[place].because(request, slots)

    def resize(self, capacity: int) -> None:
        self.scratch.resize(capacity)
        self.sizes.resize(capacity)
        for expert in self.experts:
            expert.resize(capacity)

    def state(self) -> dict[str, State]:
        """By name."""
        return {"sizes": self.sizes.state()} | {expert.name: expert.state() for expert in self.experts}

    def load(self, parts: dict[str, State]) -> None:
        self.sizes.load(parts["sizes"])
        for expert in self.experts:
            expert.load(parts[expert.name])
