"""Answering calls of one kind that arrived together: one query tells who calls."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from clusters.callers import Caller, Claim
from clusters.services import authenticate
from rainbow.errors import RainbowError, Unauthenticated

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Answer = Callable[[Request, Caller, datetime], Reply]
Asked = tuple[Request, Claim]
Answered = tuple[Caller, Reply]


def read_together(
    answer: Answer[Request, Reply], asked: Sequence[Asked[Request]], now: datetime
) -> list[Answered[Reply] | Exception]:
    """Answers each call; one that is refused fails alone."""
    verdicts = authenticate([claim for _, claim in asked], now=now)
    return [_one(answer, request, verdict, now) for (request, _), verdict in zip(asked, verdicts, strict=True)]


def _one(
    answer: Answer[Request, Reply], request: Request, by: Caller | Unauthenticated, now: datetime
) -> Answered[Reply] | Exception:
    if isinstance(by, Unauthenticated):
        return by
    try:
        return by, answer(request, by, now)
    except RainbowError as error:
        return error
