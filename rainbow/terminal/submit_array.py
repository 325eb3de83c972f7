"""`rainbow submit --array` and `--each`: one command, many jobs that differ in their index, or in variables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import click

from rainbow.arrays import Array, array_in, variables_of
from rainbow.client import Client
from rainbow.errors import InvalidArgument, why
from rainbow.job_file import Line
from rainbow.parameters import Row, rows_in
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


def submit_array(client: Client, spec: JobSpec, array: Array, *, group: GroupWish, wait: bool, as_json: bool) -> int:
    """Submits a job for each index, all of them one group, prints what became of them, and returns the exit code.

    The key of each is that of the specification, and its index.
    """
    members = [_Member(index=index) for index in array.indexes]
    wish = replace(group, at_once=group.at_once or array.at_once)
    return _submit(client, spec, members, group=wish, wait=wait, as_json=as_json)


def parameters_of(path: str) -> tuple[Row, ...]:
    """The rows of a file of parameters. Raises InvalidArgument."""
    try:
        with click.open_file(path, "rb") as file:
            return rows_in(file)
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}") from error
    except InvalidArgument as error:
        raise InvalidArgument(f"{path}: {error.message}; nothing was submitted") from error


def submit_each(
    client: Client, spec: JobSpec, rows: Sequence[Row], *, group: GroupWish, wait: bool, as_json: bool
) -> int:
    """The same with a job for each row, which finds its cells as variables, and its place as its index, from 0."""
    members = [_Member(index=index, variables=row.variables) for index, row in enumerate(rows)]
    return _submit(client, spec, members, group=group, wait=wait, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    index: int
    variables: Mapping[str, str] = field(default_factory=dict)


def _submit(
    client: Client, spec: JobSpec, members: Sequence[_Member], *, group: GroupWish, wait: bool, as_json: bool
) -> int:
    key = spec.idempotency_key
    outcome = Outcome(file="", cluster=client.cluster, key_prefix=key, jobs=len(members))
    wish = replace(group, name=group.name or spec.name, idempotency_key=key)
    of_all = variables_of([member.index for member in members])
    lines = (Line(number=member.index, spec=_spec_of(member, spec, of_all)) for member in members)
    return submit_lines(client, lines, outcome, group=wish, wait=wait, as_json=as_json)


def _spec_of(member: _Member, spec: JobSpec, of_all: Mapping[str, str]) -> JobSpec:
    return replace(
        spec,
        array_index=member.index,
        environment={**of_all, **spec.environment, **member.variables},
        idempotency_key=f"{spec.idempotency_key}/{member.index}",
    )
