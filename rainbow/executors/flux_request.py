"""A job as Flux is asked to run it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxRequest:
    """The job starts in `folder`, by which its agent finds it again; the script changes directory."""

    name: str
    script: str
    folder: str
    output: str
    errors: str
    resources: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)

    @property
    def arguments(self) -> list[str]:
        """Arguments of `flux submit`, without the values of the environment: arguments are public."""
        return [
            f"--job-name={self.name}",
            *self.resources,
            "--env=-*",
            *(f"--env={name}" for name in self.environment),
            f"--cwd={self.folder}",
            f"--output={self.output}",
            f"--error={self.errors}",
            # The file may be that of another job of the same name; see claims.py.
            "--setopt=output.mode=append",
            "/bin/sh",
            self.script,
        ]
