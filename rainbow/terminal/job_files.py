"""The files of a job that `rainbow fetch` means, and fetches."""

from collections.abc import Sequence
from pathlib import Path

from rainbow.client import Client
from rainbow.records import Job, JobFile
from rainbow.terminal.fetched_files import chosen, save
from rainbow.terminal.output import complain

MOST_LISTED = 10_000


def has_folder(job: Job) -> bool:
    return bool(job.inputs or job.input_urls or job.outputs)


def files_meant(client: Client, job: Job, patterns: Sequence[str]) -> list[JobFile]:
    """Those that fit, or without patterns those of its outputs, or else all. Raises as `list_files`."""
    listed = client.list_files(job.id)
    if len(listed) == MOST_LISTED:
        complain(f"Only the first {MOST_LISTED:,} files of job {job.id} are known.")
    return chosen(listed, patterns or job.outputs)


def fetch(client: Client, job: Job, file: JobFile, *, to: Path, folder: str = "", force: bool) -> None:
    """Into a folder of `to`. Raises as `read_file` and `save`."""
    name = f"{folder}/{file.name}" if folder else file.name
    save(client.read_file(job.id, file.name), name, size=file.size, to=to, force=force)
    complain(f"{file.size:>14,}  {to / name}")
