"""The jobs and groups that a job waits for, as its submitter names them."""

import re
from dataclasses import dataclass

from django.db import models

from jobs.states import FINAL, JobState
from rainbow.errors import InvalidArgument

MAX_AFTER = 100
MAX_ID = 2**31 - 1
AFTER = r"(?:(?:ok|any|failed):)?(?:group:)?[1-9][0-9]{0,9}"

_AFTER = re.compile(AFTER)
_TERMS = "terms must be ID, ok:ID, any:ID or failed:ID, with the id of a job, or group: and the id of a group"


class Wants(models.TextChoices):
    """How a job or a group has to end for those that wait for it."""

    OK = "ok", "completed"
    ANY = "any", "ended"
    FAILED = "failed", "failed"

    def is_met_by(self, state: JobState) -> bool:
        return state in (FINAL if self == Wants.ANY else {_WANTED[self]})


_WANTED = {Wants.OK: JobState.COMPLETED, Wants.FAILED: JobState.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    parent_id: int
    wants: Wants
    group: bool = False

    @property
    def text(self) -> str:
        return f"{'group' if self.group else 'job'} {self.parent_id}"


def parse_after(term: str) -> After:
    """Raises InvalidArgument."""
    if not _AFTER.fullmatch(term):
        raise InvalidArgument(_TERMS, field="after")
    *before, parent = term.split(":")
    if int(parent) > MAX_ID:
        raise InvalidArgument(f"ids must be at most {MAX_ID:,}", field="after")
    group = before[-1:] == ["group"]
    wants = before[:-1] if group else before
    return After(parent_id=int(parent), wants=Wants(wants[0]) if wants else Wants.OK, group=group)
