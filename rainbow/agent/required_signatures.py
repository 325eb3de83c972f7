"""Lets run only what a person signed, whatever the server and its operators say."""

from dataclasses import dataclass
from datetime import datetime

from rainbow.agent.journal import Entry
from rainbow.agent.people import UsersFile
from rainbow.agent.signed_runs import SignedRuns
from rainbow.executors.executor import NotTaken, WorkRefused
from rainbow.signatures import SignatureRefused, Statement, verify
from rainbow.specs import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredSignatures:
    """The keys of persons, and the pools whose jobs may run here, are in `file`. `runs`: None if nothing will run."""

    file: UsersFile
    cluster: str
    runs: SignedRuns | None

    def fault(self) -> str:
        """Why the keys are not known for now; empty where they are."""
        self.file.users()
        return self.file.fault

    def check(self, work: Work, now: datetime) -> Statement:
        """What its owner signed. Raises WorkRefused, and NotTaken while the keys are not known."""
        users = self.file.users()
        if self.file.fault:
            raise NotTaken(self.file.fault)
        person = users.people.get(work.owner) if work.owner else None
        if not work.owner:
            raise WorkRefused("this cluster runs only what a person signed, and this job is no person's")
        if not person or not person.keys:
            raise WorkRefused(f"this cluster has no key of {work.owner}")
        targets = {self.cluster, *users.pools}
        try:
            return verify(work.signature, work, owner=work.owner, targets=targets, keys=person.keys, now=now)
        except SignatureRefused as refused:
            raise WorkRefused(f"this cluster refuses the job: {refused}") from refused

    def claim(self, entry: Entry, now: datetime) -> str:
        """Why the attempt may not run; empty where it may, which no other does by this signature then."""
        said = self.check(entry.work, now)
        if not self.runs:
            return "nothing runs here"
        refusal = self.runs.claim(said, jobid=entry.jobid, attempt=entry.attempt, now=now)
        return f"this cluster refuses the job: {refusal}" if refusal else ""

    def let_go(self, entry: Entry, *, never_started: bool) -> None:
        """The next attempt may have the signature of one that never started. Others are over."""
        if self.runs and not never_started:
            self.runs.end(jobid=entry.jobid, attempt=entry.attempt)
        elif self.runs:
            self.runs.release(jobid=entry.jobid, attempt=entry.attempt)
