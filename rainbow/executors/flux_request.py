"""A job as Flux is asked to run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxRequest:
    """`folder` is where the job starts, by which its agent knows it again; the script goes on from there."""

    name: str
    script: str
    folder: str
    output: str
    nodes: int
    tasks: int
    time_limit_seconds: int
    environment: Mapping[str, str] = field(repr=False)

    @property
    def command(self) -> list[str]:
        return ["/bin/sh", self.script]
