"""Jobs on their way to Slurm, each by itself or many as one array."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rainbow.executors.commands import ask, submitting
from rainbow.executors.containers import write_inside
from rainbow.executors.executor import NotTaken, SchedulerSilent, Site, WorkRefused
from rainbow.executors.folders import OUTPUTS, JobFolder
from rainbow.executors.job_files import with_files
from rainbow.executors.payload import write_secrets
from rainbow.executors.persons import AsAgent, AsPersons, Begun, as_owner
from rainbow.executors.slurm_array_limits import ArrayLimit, batched_alike
from rainbow.executors.slurm_arrays import Arrays
from rainbow.executors.slurm_complaints import failure
from rainbow.executors.slurm_request import resources
from rainbow.executors.slurm_script import script, script_of_array
from rainbow.specs import Work

# One that is not like this would spoil a question for many, or be an option.
NATIVE_ID = re.compile(r"[0-9]{1,10}(_[0-9]{1,10})?", re.ASCII)
ARRAY_ID = re.compile(r"[0-9]{1,10}", re.ASCII)


class Submissions:
    def __init__(self, site: Site, users: AsAgent | AsPersons, arrays: Arrays, environment: Mapping[str, str]) -> None:
        self._site = site
        self._users = users
        self._arrays = arrays
        self._environment = environment
        self._array_limit = ArrayLimit(environment)

    def submit(self, work: Work, key: str) -> str:
        if never := self._never(work):
            raise WorkRefused(never)
        begun = self._users.begin(work, key)
        folder = begun.folder
        work = with_files(work, folder)
        write_inside(work, folder)
        write_secrets(work, folder)
        words = self._arguments(work, key, folder, where=folder.path)
        return self._sbatch(work, begun, script(work, folder, begun.site), words, NATIVE_ID)

    def batches(self, works: Mapping[str, Work]) -> list[list[str]]:
        return list(batched_alike(works, most=self._array_limit.most_tasks())) if len(works) > 1 else []

    def submit_together(self, works: Mapping[str, Work]) -> dict[str, str]:
        if never := next(filter(None, map(self._never, works.values())), ""):
            raise WorkRefused(never)
        begun_jobs = [(work, self._users.begin(work, key).folder) for key, work in works.items()]
        jobs = [(with_files(work, folder), folder) for work, folder in begun_jobs]
        for work, folder in jobs:
            write_inside(work, folder)
            write_secrets(work, folder)
        any_work, name = jobs[0][0], self._arrays.new_name()
        begun = self._users.begin(any_work, name)
        array = begun.folder
        self._arrays.begin(array, [folder for _, folder in jobs])
        words = self._arguments(any_work, name, array, where=array.path / "%a")
        text = script_of_array(jobs, array, begun.site)
        try:
            number = self._sbatch(any_work, begun, text, [*words, f"--array=0-{len(jobs) - 1}"], ARRAY_ID)
        except (WorkRefused, NotTaken):
            self._arrays.remove(array)
            raise
        return {key: f"{number}_{task}" for task, key in enumerate(works)}

    def _sbatch(self, work: Work, begun: Begun, text: str, words: Sequence[str], expected: re.Pattern[str]) -> str:
        with submitting(self._site.folder) as lock:
            answer = ask(
                as_owner(begun.folder, "sbatch", *self._site.options, *words),
                environment=self._environment,
                standard_input=text,
                keep_open=[lock],
                umask=begun.umask,
            )
        if answer.status:
            raise failure(answer, work)
        native_id = answer.text.strip().partition(";")[0]
        if not expected.fullmatch(native_id):
            raise SchedulerSilent(f"sbatch said something that rainbow does not understand: {answer.text[:200]!r}")
        return native_id

    def _never(self, work: Work) -> str:
        return self._site.containers.never(work)

    def _arguments(self, work: Work, name: str, folder: JobFolder, *, where: Path) -> list[str]:
        """`%a` at the end of the path of what the job writes is the number of a task."""
        output, errors = (
            str(where / file).replace("%", "%%").replace(f"/%%a/{file}", f"/%a/{file}") for file in OUTPUTS
        )
        return [
            "--parsable",
            f"--job-name={name}",
            self._export(),
            "--no-requeue",
            # Not where the job runs, but how `find` tells it from another agent's job of the same name.
            f"--chdir={folder.path}",
            f"--output={output}",
            f"--error={errors}",
            "--open-mode=append",
            *resources(work),
        ]

    def _export(self) -> str:
        """Anything but ALL makes Slurm begin a login shell of a second or two for the user's environment.

        ALL is what `command_environment` left, and the script keeps less of it. A credential of Slurm's own is not
        to be stored with the job.
        """
        return "--export=NIL" if "SLURM_JWT" in self._environment else "--export=ALL"
