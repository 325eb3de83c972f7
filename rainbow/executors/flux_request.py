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
    def words(self) -> list[str]:
        """The words of `flux submit`, but for the values of the environment, which are for all to read there."""
        limit = [f"--time-limit={self.time_limit_seconds}s"] if self.time_limit_seconds else []
        return [
            f"--job-name={self.name}",
            f"--nodes={self.nodes}",
            f"--ntasks={self.tasks}",
            "--env=-*",
            *(f"--env={name}" for name in self.environment),
            f"--cwd={self.folder}",
            f"--output={self.output}",
            f"--error={self.output}",
            # The file may be that of another job of the same name; see claims.py.
            "--setopt=output.mode=append",
            *limit,
            "/bin/sh",
            self.script,
        ]
