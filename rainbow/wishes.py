"""What a server wants of an agent before its next report."""

from dataclasses import dataclass
from enum import StrEnum

from rainbow import translation
from rainbow.protos import rainbow_pb2 as pb


class WishKind(StrEnum):
    """`cancel`: report these jobs now, the answer says which to stop; `signal`: send one to a job; `read`: send what
    one wrote.
    """

    UNSPECIFIED = "unspecified"
    CANCEL = "cancel"
    SIGNAL = "signal"
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of an output, from the byte `offset` on. `error`: why no more can be sent, with `end`."""

    offset: int
    data: bytes = b""
    end: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The fields are those of Wish in rainbow.proto."""

    id: int
    kind: WishKind
    jobids: tuple[int, ...] = ()
    attempt: int = 0
    signal: str = ""
    stream: str = ""
    stderr: bool = False
    from_byte: int = 0
    most_bytes: int = 0
    follow: bool = False
    file: str = ""
    listing: bool = False


_KINDS = {pb.Wish.Kind.Value(f"KIND_{kind.name}"): kind for kind in WishKind}


@translation.refusing_nonsense()
def wishes_in(answer: pb.AwaitWishesResponse) -> tuple[Wish, ...]:
    return tuple(_wish(message) for message in answer.wishes)


def _wish(message: pb.Wish) -> Wish:
    return Wish(
        id=message.id,
        kind=_KINDS.get(message.kind, WishKind.UNSPECIFIED),
        jobids=tuple(message.jobids),
        attempt=message.attempt,
        signal=message.signal,
        stream=message.stream,
        stderr=message.source == pb.OUTPUT_SOURCE_STDERR,
        from_byte=message.from_byte,
        most_bytes=message.most_bytes,
        follow=message.follow,
        file=_file(message),
        listing=message.source == pb.OUTPUT_SOURCE_LISTING,
    )


def _file(message: pb.Wish) -> str:
    """Raises ValueError for a wish for a file that names none."""
    if message.source != pb.OUTPUT_SOURCE_FILE:
        return ""
    if not message.file:
        raise ValueError("it names no file")
    return message.file
