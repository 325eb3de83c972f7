"""What a check finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """`advice`: what would be better."""

    what: str
    advice: str = ""


class CheckFailed(Exception):
    """`advice`: what to do about it."""

    def __init__(self, what: str, *, advice: str) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
