"""Parses rainbow.proto with its comments, which the generated descriptor leaves out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_PACKAGE = re.compile(r"package (?P<name>[\w.]+);")
_SERVICE = re.compile(r"service (?P<name>\w+) \{")
_RPC = re.compile(
    r"rpc (?P<name>\w+)\((?P<asks>stream )?(?P<request>\w+)\) returns \((?P<answers>stream )?(?P<response>\w+)\);"
)
_BLOCK = re.compile(r"(?P<kind>message|enum) (?P<name>\w+) \{")
_FIELD = re.compile(r"(?P<type>(?:optional |repeated )?(?:map<\w+, \w+>|[\w.]+)) (?P<name>\w+) = (?P<number>\d+);")
_VALUE = re.compile(r"(?P<name>\w+) = (?P<number>\d+);")
_IGNORED = re.compile(r'syntax = "proto3";|import "[\w./]+";|')


class UnknownLine(Exception):
    """The file has a line that this parser does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    name: str
    request: str
    response: str
    asks_many: bool
    answers_many: bool
    comment: str


class Member(NamedTuple):
    """A field of a message, or a value of an enum, which has no type."""

    number: int
    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A message or an enum; a nested one is named `Outer.Inner`."""

    kind: str
    name: str
    comment: str
    members: list[Member] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ProtoFile:
    comment: str = ""
    package: str = ""
    service: str = ""
    rpcs: list[Rpc] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


def parse(text: str) -> ProtoFile:
    """Parses the subset that rainbow.proto uses: one item a line, comments above it. Raises UnknownLine."""
    file = ProtoFile()
    open_blocks: list[Block] = []
    for comment, line in _commented(text):
        if block := _BLOCK.fullmatch(line):
            outer = f"{open_blocks[-1].name}." if open_blocks else ""
            open_blocks.append(Block(kind=block["kind"], name=outer + block["name"], comment=comment))
            file.blocks.append(open_blocks[-1])
        elif line == "}":
            open_blocks = open_blocks[:-1]
        elif open_blocks:
            open_blocks[-1].members.append(_member(line, comment, kind=open_blocks[-1].kind))
        else:
            _read_top(file, line, comment)
    return file


def _commented(text: str) -> Iterator[tuple[str, str]]:
    """Each line of code with the comment above it; the file's first comment comes with an empty line."""
    comment: list[str] = []
    for number, raw in enumerate(text.splitlines()):
        line = raw.strip()
        if line.startswith("//"):
            comment.append(line.removeprefix("//").strip())
            continue
        if line or number == len(comment):
            yield "\n".join(comment), line
        comment = []


def _member(line: str, comment: str, *, kind: str) -> Member:
    found = (_FIELD if kind == "message" else _VALUE).fullmatch(line)
    if found is None:
        raise UnknownLine(line)
    return Member(int(found["number"]), found["name"], found["type"] if kind == "message" else "", comment)


def _read_top(file: ProtoFile, line: str, comment: str) -> None:
    if rpc := _RPC.fullmatch(line):
        file.rpcs.append(
            Rpc(
                name=rpc["name"],
                request=rpc["request"],
                response=rpc["response"],
                asks_many=bool(rpc["asks"]),
                answers_many=bool(rpc["answers"]),
                comment=comment,
            )
        )
    elif package := _PACKAGE.fullmatch(line):
        file.package = package["name"]
    elif service := _SERVICE.fullmatch(line):
        file.service = service["name"]
    elif _IGNORED.fullmatch(line):
        file.comment = file.comment or comment
    else:
        raise UnknownLine(line)
