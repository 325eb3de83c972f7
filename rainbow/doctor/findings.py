"""How a check says that something is not well."""


class Sick(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, *, advice: str) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
