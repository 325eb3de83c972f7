"""Answering calls of one kind that arrived together: one query tells who calls, one verb does the work of all."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from clusters.callers import Caller, Claim
from clusters.services.authenticate import authenticate
from rainbow.errors import RainbowError, Unauthenticated

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Answer = Callable[[Request, Caller, datetime], Reply]
Asked = tuple[Request, Claim]
Answered = tuple[Caller, Reply]


def read_together(
    answer: Answer[Request, Reply], asked: Sequence[Asked[Request]], now: datetime
) -> list[Answered[Reply] | Exception]:
    """Answers each call; one that is refused fails alone."""

    def look(request: Request, caller: Caller) -> Answered[Reply]:
        return caller, answer(request, caller, now)

    return [made_or_refusal(look, request, verdict) for request, verdict in _admitted(asked, now)]


def write_together(
    asked: Sequence[Asked[Request]],
    now: datetime,
    *,
    item_from: Callable[[Request, Caller], Item],
    verb: Callable[[list[Item]], Iterable[Outcome | RainbowError]],
    answer: Callable[[Outcome, Caller], Reply],
) -> list[Answered[Reply] | Exception]:
    """Answers many calls with one verb over their items; a call that is refused fails alone."""
    admitted = _admitted(asked, now)
    outcomes = each_or_refusal([made_or_refusal(item_from, request, verdict) for request, verdict in admitted], verb)
    return [_told(outcome, verdict, answer) for (_, verdict), outcome in zip(admitted, outcomes, strict=True)]


def each_or_refusal(
    items: Iterable[Item | RainbowError], verb: Callable[[list[Item]], Iterable[Outcome | RainbowError]]
) -> list[Outcome | RainbowError]:
    """What the verb makes of the items; what was refused before it stays so, in its place."""
    items = list(items)
    outcomes = iter(verb([item for item in items if not isinstance(item, RainbowError)]))
    return [item if isinstance(item, RainbowError) else next(outcomes) for item in items]


def made_or_refusal(
    make: Callable[[Request, Caller], Item], request: Request, by: Caller | Unauthenticated
) -> Item | RainbowError:
    """What is made of a request, or why it is refused."""
    if isinstance(by, Unauthenticated):
        return by
    try:
        return make(request, by)
    except RainbowError as error:
        return error


def _admitted(asked: Sequence[Asked[Request]], now: datetime) -> list[tuple[Request, Caller | Unauthenticated]]:
    verdicts = authenticate([claim for _, claim in asked], now=now)
    return [(request, verdict) for (request, _), verdict in zip(asked, verdicts, strict=True)]


def _told(
    outcome: Outcome | RainbowError, by: Caller | Unauthenticated, answer: Callable[[Outcome, Caller], Reply]
) -> Answered[Reply] | RainbowError:
    if isinstance(outcome, RainbowError):
        return outcome
    # Who was not let in has an outcome of the first kind.
    assert isinstance(by, Caller)
    return by, answer(outcome, by)
