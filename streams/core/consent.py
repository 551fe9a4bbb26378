"""What a user allows to be done with what they do and with what they say of themselves.

An objection is an event like any other: it may come late, twice, or together with a request to forget. The latest by
event time holds, and it outlives whatever else is erased.
"""

from msgspec import Struct


class Consent(Struct, frozen=True):
    """What a user allows; everything, while they have said nothing.

    profiling    to keep what they do, make a taste of it, and teach everybody's memory
    use_profile  to let the vector of their profile have a say in lists
    at           when they last said so, seconds since the epoch; 0 where they never did
    """

    profiling: bool = True
    use_profile: bool = True
    at: float = 0.0

    @property
    def objects(self) -> bool:
        """Whether there is anything they do not allow."""
        return not (self.profiling and self.use_profile)

    def said(self, at: float, profiling: bool | None = None, use_profile: bool | None = None) -> "Consent":
        """What holds once they have said this; None says nothing. What was said earlier, and comes later, is too late.

        >>> Consent(at=5.0).said(7.0, use_profile=False)
        Consent(profiling=True, use_profile=False, at=7.0)
        >>> Consent(at=5.0).said(3.0, profiling=False)
        Consent(profiling=True, use_profile=True, at=5.0)
        """
        if at < self.at or (profiling is None and use_profile is None):
            return self
        return Consent(
            self.profiling if profiling is None else profiling,
            self.use_profile if use_profile is None else use_profile,
            at,
        )
