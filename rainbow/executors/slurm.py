"""Slurm, by its commands. Needs `squeue --json`, so Slurm 21.08 or later."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from signal import Signals

from rainbow.executors.claims import claim_of, claimed_by, withdrawing
from rainbow.executors.commands import Answer, all_submitted, ask, each_on_its_own
from rainbow.executors.endings import gone
from rainbow.executors.environment import command_environment
from rainbow.executors.executor import (
    Access,
    Capacity,
    JobPhase,
    Progress,
    SchedulerSilent,
    Site,
    Ticket,
)
from rainbow.executors.folders import MOST_LISTED, JobFolder, Listed
from rainbow.executors.housekeeping import Housekeeping
from rainbow.executors.options import value_of
from rainbow.executors.persons import as_owner, as_whom, by_owner
from rainbow.executors.sizes import total_cores
from rainbow.executors.slurm_accounts import Accounts, chunked
from rainbow.executors.slurm_arrays import Arrays
from rainbow.executors.slurm_facts import PARTITIONS, architectures, partitions, some_nodes
from rainbow.executors.slurm_nodes import NODE_FORMAT, free
from rainbow.executors.slurm_options import OptionCheck
from rainbow.executors.slurm_records import Record, from_squeue
from rainbow.executors.slurm_script import noted_end
from rainbow.executors.slurm_submissions import NATIVE_ID, Submissions
from rainbow.executors.withdrawals import begin, settled
from rainbow.facts import Facts, Value
from rainbow.specs import Work

FORGOTTEN = gone("Slurm no longer knows the job, and it left no word of its end")
NOTHING_TO_CANCEL = re.compile(r"invalid job id|already complet", re.IGNORECASE)


class SlurmExecutor:
    access = Access(description="by Slurm's commands", at_once=4)

    def __init__(self, site: Site, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._site = site
        self._housekeeping = Housekeeping(site)
        self._environment = command_environment(site.environment)
        self._as = as_whom(site)
        self._accounts = Accounts(self._environment, of_all=bool(site.persons), pause=pause)
        self._arrays = Arrays(site.folder.absolute(), self._as)
        self._submissions = Submissions(site, self._as, self._arrays, self._environment)
        # The agent's own user may be one that may not submit at all.
        self._option_check = OptionCheck(() if site.persons else site.options, self._environment)

    def capacity(self) -> Capacity:
        partition = value_of(self._site.options, "-p", "--partition")
        only = [f"--partition={partition}"] if partition else []
        answer = self._answered("sinfo", "--noheader", "--Node", f"--format={NODE_FORMAT}", *only)
        found = free(answer.text, chosen=bool(partition))
        return found if found.not_ready else replace(found, not_ready=self._option_check.fault())

    def facts(self) -> Facts:
        chosen = value_of(self._site.options, "-p", "--partition")
        listed = self._answered("sinfo", *PARTITIONS).text
        if chosen:
            # A hidden one is listed where it is named.
            named = self._answered("sinfo", *PARTITIONS, f"--partition={chosen}").text
            listed = "\n".join(dict.fromkeys([*listed.splitlines(), *named.splitlines()]))
        # Its answer is as long as its nodes are many: one of each kind is asked for.
        shown = ask(
            ["scontrol", "--oneliner", "show", "node", ",".join(some_nodes(listed))], environment=self._environment
        )
        version = self._answered("sinfo", "--version").text.split()
        values: dict[str, Value] = {"scheduler": "slurm", "scheduler_version": version[-1] if version else ""}
        if found := architectures(shown.text):
            values["arch"] = found[0] if len(found) == 1 else found
        return Facts(values=values, partitions=tuple(partitions(listed, chosen=chosen)))

    def slots(self, work: Work) -> int:
        return total_cores(work)

    def never(self, work: Work) -> str:
        return self._site.containers.never(work)

    def submit(self, work: Work, key: str) -> str:
        return self._submissions.submit(work, key)

    def batches(self, works: Mapping[str, Work]) -> list[list[str]]:
        return self._submissions.batches(works)

    def submit_together(self, works: Mapping[str, Work]) -> dict[str, str]:
        return self._submissions.submit_together(works)

    def find(self, keys: Collection[str]) -> dict[str, str]:
        all_submitted(self._site.folder)
        queue = self._queue()
        found = self._named(keys, queue.values())
        if len(found) < len(keys):
            found |= self._named(keys, self._in_accounts(set(keys) - found.keys())) | found
        current = {key: self._current(key, found.get(key, ""), queue) for key in keys}
        return {key: native for key, native in current.items() if native}

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        queue = self._queue() if tickets else {}
        current = {ticket.key: self._current(ticket.key, ticket.native_id, queue) for ticket in tickets}
        seen = {key: queue[native].progress() for key, native in current.items() if native in queue}
        left = {key: native for key, native in current.items() if key not in seen}
        found = seen | self._left_the_queue(left)
        told = {key: settled(self._folder(key), progress) for key, progress in found.items()}
        return {key: progress for key, progress in told.items() if progress}

    def notify(self, changed: Callable[[], None]) -> None:
        """It is polled."""

    def cancel(self, tickets: Collection[Ticket]) -> None:
        folders = [self._folder(ticket.key) for ticket in tickets]
        for folder in folders:
            folder.note_cancelled()
        with withdrawing(folders):
            self._cancel(tickets)

    def _cancel(self, tickets: Collection[Ticket]) -> None:
        queue = self._queue() if any(claim_of(self._folder(ticket.key)) for ticket in tickets) else {}
        natives = {
            self._folder(ticket.key): {ticket.native_id, self._claimed(ticket, queue)} - {""} for ticket in tickets
        }
        with each_on_its_own() as attempt:
            for folders in by_owner(natives):
                numbers = sorted(filter(NATIVE_ID.fullmatch, set().union(*(natives[folder] for folder in folders))))
                if numbers:
                    attempt(partial(self._cancelled, folders[0], *numbers))

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        """`scancel --state=PENDING` looks at the state and then cancels: a job that started in between would be killed.

        So a job is held before, and only if that is in time it is cancelled.
        """
        waiting = self._waiting(tickets)
        if not waiting:
            return
        for key in waiting:
            begin(self._folder(key))
        with each_on_its_own() as attempt:
            for folders in by_owner([self._folder(key) for key in waiting]):
                theirs = {folder.key: waiting[folder.key] for folder in folders}
                attempt(partial(self._withdraw, folders[0], theirs, tickets))

    def _withdraw(self, owned: JobFolder, waiting: Mapping[str, Record], tickets: Collection[Ticket]) -> None:
        """Those of one user."""
        holds = [
            ask(as_owner(owned, "scontrol", "hold", ",".join(some)), environment=self._environment)
            for some in chunked(record.native_id for record in waiting.values())
        ]
        still_waiting = self._waiting([ticket for ticket in tickets if ticket.key in waiting])
        held = sorted(record.native_id for record in still_waiting.values() if record.held)
        if held:
            self._cancelled(owned, "--state=PENDING", *held)
        elif still_waiting:
            complaint = next((answer.complaint for answer in holds if answer.status), "")
            raise SchedulerSilent(f"scontrol hold: {complaint}")

    def signal(self, ticket: Ticket, name: str) -> None:
        """`--full`: to the batch script, which ignores it, and to what it started, not only to the steps of `srun`.

        By its number, since scancel knows only some by name.
        """
        folder = self._folder(ticket.key)
        queue = self._queue() if claim_of(folder) else {}
        native_id = self._claimed(ticket, queue) or ticket.native_id
        if NATIVE_ID.fullmatch(native_id):
            self._cancelled(folder, "--full", f"--signal={Signals[f'SIG{name}'].value}", native_id)

    def output(self, ticket: Ticket) -> str:
        return self._folder(ticket.key).tail()

    def part(self, ticket: Ticket, output: str, *, start: int, most_bytes: int) -> bytes:
        return self._folder(ticket.key).part(output, start=start, most_bytes=most_bytes)

    def files(self, ticket: Ticket, patterns: Sequence[str] = (), *, most: int = MOST_LISTED) -> Listed:
        return self._folder(ticket.key).files(patterns, most=most)

    def forget_secrets(self, ticket: Ticket) -> None:
        self._folder(ticket.key).forget_secrets()

    def size(self, ticket: Ticket, output: str) -> int:
        return self._folder(ticket.key).size(output)

    def kept_bytes(self, ticket: Ticket) -> int:
        return self._folder(ticket.key).kept_bytes()

    def forget(self, ticket: Ticket) -> None:
        self._arrays.forget(ticket.key)
        self._folder(ticket.key).remove()

    def tidy(self, running: Collection[Ticket]) -> bool:
        self._housekeeping.cut_outputs(running, self._folder)
        return self._housekeeping.tidy()

    def _folder(self, key: str) -> JobFolder:
        return self._as.folder(key)

    def _claimed(self, ticket: Ticket, queue: Mapping[str, Record]) -> str:
        current = self._current(ticket.key, ticket.native_id, queue)
        return current if current in queue else ""

    def _current(self, key: str, native_id: str, queue: Mapping[str, Record]) -> str:
        """Of two jobs of one name, the one that claimed the command counts; see claims.py.

        It does where Slurm knows that job as ours, or neither that one nor the other as one that is going on.
        """
        claim = claimed_by(self._folder(key))
        if not claim:
            return native_id
        if claim in queue:
            return claim if self._is_ours(queue[claim], key) else native_id
        goes_on = native_id in queue and queue[native_id].progress().phase != JobPhase.ENDED
        return native_id if goes_on else claim

    def _is_ours(self, record: Record, key: str) -> bool:
        """Another agent of this user may have a job of the same name, in a folder of its own."""
        folder = self._folder(key)
        return record.name == key and record.folder == str(folder.path) and self._as.may_be_of(record.user, folder)

    def _waiting(self, tickets: Collection[Ticket]) -> dict[str, Record]:
        queue = self._queue()
        records = {ticket.key: queue[ticket.native_id] for ticket in tickets if ticket.native_id in queue}
        return {
            key: record
            for key, record in records.items()
            if record.never_started and self._is_ours(record, key) and not claim_of(self._folder(key))
        }

    def _cancelled(self, owned: JobFolder, *words: str) -> None:
        answer = ask(as_owner(owned, "scancel", *words), environment=self._environment)
        if answer.status and not NOTHING_TO_CANCEL.search(answer.complaint):
            raise SchedulerSilent(f"scancel: {answer.complaint}")

    def _queue(self) -> dict[str, Record]:
        # Slurm 22.05 ignores the filters with --json, later ones need them.
        users = ",".join(map(str, self._as.uids()))
        if not users:
            return {}
        # Those of hidden partitions as well, which later ones leave out otherwise.
        words = ("squeue", "--json", "--all", f"--user={users}", "--states=all")
        # Without the variable it leaves out some of an array's tasks that wait (squeue(1), ENVIRONMENT VARIABLES).
        records = from_squeue(self._answered(*words, SLURM_BITSTR_LEN="0").text)
        return {record.native_id: record for record in self._arrays.as_jobs(records)}

    def _named(self, keys: Collection[str], records: Iterable[Record]) -> dict[str, str]:
        ours = [record for record in self._known(keys, records) if self._is_ours(record, record.name)]
        return {record.name: record.native_id for record in reversed(ours)}

    def _known(self, keys: Collection[str], records: Iterable[Record]) -> list[Record]:
        """Those of a user whose job of this name it may be."""
        wanted = set(keys)
        records = [record for record in records if record.name in wanted]
        for record in records:
            self._as.adopt(record.user, record.name)
        return [record for record in records if self._as.may_be_of(record.user, self._folder(record.name))]

    def _in_accounts(self, keys: Collection[str]) -> Iterator[Record]:
        records = self._arrays.as_jobs(self._accounts.named(self._arrays.names(keys)))
        for record in self._known(keys, records):
            places = {name: str(self._folder(name).path) for name in self._arrays.names([record.name])}
            if NATIVE_ID.fullmatch(record.native_id) and self._accounts.is_in(record.native_id, places.values()):
                yield replace(record, folder=places[record.name])

    def _left_the_queue(self, natives: dict[str, str]) -> dict[str, Progress]:
        noted = {key: noted_end(self._folder(key)) for key in natives}
        try:
            numbers = {key: native for key, native in natives.items() if NATIVE_ID.fullmatch(native)}
            accounts = {record.native_id: record for record in self._numbered(numbers)}
        except SchedulerSilent:
            return {key: progress for key, progress in noted.items() if progress}
        found = {key: accounts.get(native) for key, native in natives.items()}
        told = {key: record.progress() for key, record in found.items() if record and record.name == key}
        # Accounts that missed an end call a job running for ever, which the controller knows no more.
        ended = {key: progress for key, progress in told.items() if progress.phase == JobPhase.ENDED}
        return {key: ended.get(key) or noted[key] or FORGOTTEN for key in natives}

    def _numbered(self, natives: Mapping[str, str]) -> Iterator[Record]:
        """What the accounts say."""
        for some in chunked(natives):
            records = self._accounts.numbered(self._arrays.names(some), [natives[key] for key in some])
            yield from self._arrays.as_jobs(records)

    def _answered(self, *command: str, **variables: str) -> Answer:
        answer = ask(command, environment={**self._environment, **variables})
        if answer.status:
            raise SchedulerSilent(f"{command[0]}: {answer.complaint}")
        return answer
