"""What a check finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Well:
    """All is well, and `advice` says what would be better."""

    what: str
    advice: str = ""


class Sick(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, *, advice: str) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
