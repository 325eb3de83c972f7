"""Signs jobs as they are submitted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rainbow.signatures import sign, statement
from rainbow.specs import JobSpec

VALID_FOR = timedelta(days=7)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """`person`: who signs, by the name on the server. `valid_for`: how long after the submission a job may start.

    `runs`: how many of its attempts a cluster may start, which is of use where a job is queued again when it is lost.
    """

    key: Ed25519PrivateKey = field(repr=False)
    person: str
    valid_for: timedelta = VALID_FOR
    runs: int = 1
    clock: Callable[[], datetime] = _utc_now

    def signed(self, spec: JobSpec, *, target: str) -> JobSpec:
        """The job with a signature for this cluster or pool; one that is signed stays as it is."""
        if spec.signature:
            return spec
        said = statement(person=self.person, target=target, expires_at=self.clock() + self.valid_for, runs=self.runs)
        return replace(spec, signature=sign(spec, said, self.key))
