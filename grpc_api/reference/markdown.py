"""docs/protocol.md, from what rainbow.proto says of itself."""

from collections.abc import Iterable, Iterator

from grpc_api.reference.protofile import Block, Member, ProtoFile, Rpc

_HEAD = """\
# Protocol

<!-- Written by `make docs` from grpc_api/rainbow.proto. Change the comments there. -->

{comment}

The service is `{package}.{service}`, and the file itself
[grpc_api/rainbow.proto](../grpc_api/rainbow.proto). [concepts.md](concepts.md) explains the words, and lists
[the errors](concepts.md#errors).
"""


def reference(file: ProtoFile) -> str:
    return "\n".join(_lines(file))


def _lines(file: ProtoFile) -> Iterator[str]:
    blocks = {block.name: block for block in file.blocks}
    top = [block for block in file.blocks if "." not in block.name]
    of_calls = list(dict.fromkeys(name for rpc in file.rpcs for name in (rpc.request, rpc.response)))
    yield _HEAD.format(comment=file.comment, package=file.package, service=file.service)
    yield from _table(("call", "what it does"), [(_link(rpc.name), _cell(rpc.comment)) for rpc in file.rpcs])
    yield "## Calls\n"
    shown: set[str] = set()
    for rpc in file.rpcs:
        yield from _call(rpc)
        for name in (rpc.request, rpc.response):
            if name not in shown:
                yield from _block(blocks[name], blocks)
            shown.add(name)
    yield "## Messages and enums\n"
    for block in top:
        if block.name not in of_calls:
            yield from _block(block, blocks)


def _call(rpc: Rpc) -> Iterator[str]:
    request, response = _message(rpc.request, many=rpc.asks_many), _message(rpc.response, many=rpc.answers_many)
    yield f"### {rpc.name}\n"
    yield f"{request} → {response}\n"
    yield f"{rpc.comment}\n"


def _message(name: str, *, many: bool) -> str:
    return f"stream of {_link(name)}" if many else _link(name)


def _block(block: Block, blocks: dict[str, Block]) -> Iterator[str]:
    yield f"### {block.name}\n"
    if block.comment:
        yield f"{block.comment}\n"
    if block.kind == "enum":
        yield from _table(("number", "value", "meaning"), [_value(value) for value in block.members])
        return
    rows = [_field(member, block, blocks) for member in block.members]
    yield from _table(("number", "field", "type", "meaning"), rows)
    for nested in blocks.values():
        if nested.name.startswith(f"{block.name}."):
            yield from _block(nested, blocks)


def _value(value: Member) -> tuple[str, ...]:
    return (str(value.number), f"`{value.name}`", _cell(value.comment))


def _field(member: Member, block: Block, blocks: dict[str, Block]) -> tuple[str, ...]:
    return (str(member.number), f"`{member.name}`", _type(member.type, block, blocks), _cell(member.comment))


def _type(text: str, block: Block, blocks: dict[str, Block]) -> str:
    *before, name = text.split(" ") if not text.startswith("map<") else [text]
    full = next((full for full in (f"{block.name}.{name}", name) if full in blocks), "")
    return " ".join([*before, _link(full, name) if full else f"`{name.removeprefix('google.protobuf.')}`"])


def _link(target: str, text: str = "") -> str:
    """A link to a heading, whose anchor has neither capitals nor dots."""
    return f"[{text or target}](#{target.lower().replace('.', '')})"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield f"| {' | '.join('---' for _ in names)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |".replace("  ", " ")
    yield ""


def _cell(comment: str) -> str:
    return comment.replace("\n", " ").replace("|", "\\|")
