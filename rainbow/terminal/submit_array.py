"""`rainbow submit --array`: one command, many jobs that differ in their index."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import click

from rainbow.arrays import indexes_in
from rainbow.client import Client
from rainbow.errors import InvalidArgument
from rainbow.job_file import Line
from rainbow.records import GroupWish
from rainbow.specs import JobSpec
from rainbow.terminal.submit_file import Outcome, submit_lines


class Indexes(click.ParamType[tuple[int, ...]]):
    name = "indexes"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return indexes_in(value)
        except InvalidArgument as error:
            self.fail(f"{value!r} {error.message}", param, ctx)


def submit_array(client: Client, spec: JobSpec, indexes: Sequence[int], *, group: GroupWish, as_json: bool) -> int:
    """Submits a job for each index, all of them one group, prints what became of them, and returns the exit code.

    The key of each is that of the specification, and its index.
    """
    key = spec.idempotency_key
    outcome = Outcome(file="", cluster=client.cluster, key_prefix=key, jobs=len(indexes))
    wish = replace(group, name=group.name or spec.name, idempotency_key=key)
    return submit_lines(client, _members(spec, indexes), outcome, group=wish, as_json=as_json)


def _members(spec: JobSpec, indexes: Sequence[int]) -> Iterator[Line]:
    for index in indexes:
        key = f"{spec.idempotency_key}/{index}"
        yield Line(number=index, spec=replace(spec, array_index=index, idempotency_key=key))
