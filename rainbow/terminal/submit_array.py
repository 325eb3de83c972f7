"""`rainbow submit --array`: one command, many jobs that differ in their index."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import click

from rainbow.arrays import Array, array_in
from rainbow.client import Client
from rainbow.errors import InvalidArgument
from rainbow.job_file import Line
from rainbow.records import GroupWish
from rainbow.specs import JobSpec
from rainbow.terminal.submit_file import Outcome, submit_lines


class Indexes(click.ParamType[Array]):
    name = "indexes"

    def convert(self, value: str | Array, param: click.Parameter | None, ctx: click.Context | None) -> Array:
        if isinstance(value, Array):
            return value
        try:
            return array_in(value)
        except InvalidArgument as error:
            self.fail(f"{value!r} {error.message}", param, ctx)


def submit_array(client: Client, spec: JobSpec, array: Array, *, group: GroupWish, as_json: bool) -> int:
    """Submits a job for each index, all of them one group, prints what became of them, and returns the exit code.

    The key of each is that of the specification, and its index.
    """
    key = spec.idempotency_key
    outcome = Outcome(file="", cluster=client.cluster, key_prefix=key, jobs=len(array.indexes))
    at_once = group.at_once or array.at_once
    wish = replace(group, name=group.name or spec.name, at_once=at_once, idempotency_key=key)
    return submit_lines(client, _members(spec, array.indexes), outcome, group=wish, as_json=as_json)


def _members(spec: JobSpec, indexes: Sequence[int]) -> Iterator[Line]:
    for index in indexes:
        key = f"{spec.idempotency_key}/{index}"
        yield Line(number=index, spec=replace(spec, array_index=index, idempotency_key=key))
