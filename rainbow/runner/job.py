"""The job that a runner is given."""

import json
from dataclasses import dataclass, field, fields
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerJob:
    """A `limit_seconds` of 0 is no limit."""

    command: str
    directory: str
    environment: dict[str, str] = field(repr=False)
    limit_seconds: int
    kept_output_bytes: int

    def written(self) -> str:
        return json.dumps({item.name: getattr(self, item.name) for item in fields(self)})

    @classmethod
    def read(cls, text: str) -> Self:
        return cls(**json.loads(text))
