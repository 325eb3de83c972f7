"""Which secrets of the site a job gets. Their values are looked up as it is handed over, and noted nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rainbow.agent.secrets_file import Secret, read_secrets
from rainbow.agent.site_file import version_of
from rainbow.errors import InvalidArgument
from rainbow.executors.executor import NotTaken, WorkRefused
from rainbow.specs import Work

NONE_HERE = "this cluster has no secrets"


@dataclass(slots=True, kw_only=True)
class SecretsFile:
    """secrets.toml as it is now. `fault` says what is wrong with it; empty where nothing is."""

    path: Path
    fault: str = ""
    _secrets: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    _seen: tuple[int, ...] = ()

    def secrets(self) -> Mapping[str, Secret]:
        """Read again when the file has changed. None while it cannot be used."""
        seen = version_of(self.path)
        if seen != self._seen or not seen:
            self._seen = seen
            self.read()
        return self._secrets

    def read(self) -> None:
        try:
            self._secrets, self.fault = read_secrets(self.path), ""
        except InvalidArgument as error:
            self._secrets, self.fault = {}, str(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSecrets:
    file: SecretsFile | None = None

    def refusal(self, work: Work, *, of_anyone: bool = False) -> str:
        """Why the job never gets what it names; empty where it does, and while that is not known.

        `of_anyone`: it is not known yet whose it is. Whether a secret is there, and for others only, is not told.
        """
        if not work.secrets:
            return ""
        if not self.file:
            return f"secrets: {NONE_HERE}"
        found = self.file.secrets()
        if self.file.fault:
            return ""
        names = [_name(secret) for secret in work.secrets.values()]
        missing = [name for name in names if name not in found or not (of_anyone or _is_for(found[name], work))]
        return f"secrets: this cluster has no secret {missing[0]} for {_whose(work)}" if missing else ""

    def values(self, work: Work) -> dict[str, str]:
        """By variable. Raises WorkRefused, and NotTaken while the file cannot be used.

        The file is read again where a value is in a file of its own, which may have changed alone.
        """
        if not work.secrets:
            return {}
        if self.file:
            self.file.read()
            if self.file.fault:
                # What is wrong is for the site to know: it names files.
                raise NotTaken("the cluster's secrets cannot be read for now")
        if refusal := self.refusal(work):
            raise WorkRefused(refusal)
        found = self.file.secrets() if self.file else {}
        return {variable: found[_name(secret)].value for variable, secret in work.secrets.items()}


def _name(secret: str) -> str:
    return secret.removeprefix("site:")


def _is_for(secret: Secret, work: Work) -> bool:
    return secret.is_for(owner=work.owner, project=work.project)


def _whose(work: Work) -> str:
    if work.owner:
        return f"{work.owner} of project {work.project}" if work.project else work.owner
    return f"project {work.project}" if work.project else "jobs of no person and no project"
