"""The files that a job is submitted with, in a folder of its own within the job's folder."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rainbow.executors.container_mounts import has_unsafe_characters
from rainbow.executors.executor import WorkRefused
from rainbow.executors.folders import FILES, SHARED_FOLDER, JobFolder
from rainbow.specs import Work
from rainbow.system import untrusted_files

# Smaller ones are copied: they cost nothing, and several names may have one.
COPIED_BYTES = 4 * 1024 * 1024
# A job may run a file that came with it. Beside the agent, only the job's user reaches it.
FILE_MODE, SHARED_FILE_MODE = 0o700, 0o755


def has_files(work: Work) -> bool:
    return bool(work.inputs or work.input_urls or work.outputs)


def with_files(work: Work, folder: JobFolder) -> Work:
    """The work with its files in place. It begins beside them unless it says where, and finds them by RAINBOW_FILES.

    What is there stays as it is: a job of this name may have begun. Raises WorkRefused, and OSError.
    """
    if not has_files(work):
        return work
    path = str(folder.path / FILES)
    mounts = work.mounts
    if work.image:
        if has_unsafe_characters(path) or ":" in path or "," in path:
            raise WorkRefused("inputs: this cluster cannot mount the folder of its jobs in a container")
        mounts = (*mounts, f"{path}:{path}")
    with folder.job.opened() as job, _folder_made(FILES, job, folder) as files:
        for name, digest in work.inputs.items():
            _place(Path(work.staged) / digest, name, files, folder)
        for name, url in work.input_urls.items():
            _place(Path(work.staged) / digest_of(url), name, files, folder)
    return replace(
        work,
        environment={**work.environment, "RAINBOW_FILES": path},
        working_directory=work.working_directory or path,
        mounts=mounts,
    )


def _place(source: Path, name: str, files: int, folder: JobFolder) -> None:
    *folders, last = name.split("/")
    with contextlib.ExitStack() as stack:
        inside = files
        for part in folders:
            inside = stack.enter_context(_folder_made(part, inside, folder))
        if _is_there(last, inside):
            return
        # Whole or not at all, also for a job of this name that begins meanwhile.
        draft = f".rainbow-{secrets.token_hex(8)}"
        mode = SHARED_FILE_MODE if folder.owner else FILE_MODE
        if not _linked(source, draft, inside, mode):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | untrusted_files.CAREFULLY
            with os.fdopen(os.open(draft, flags, 0o600, dir_fd=inside), "wb") as made, source.open("rb") as content:
                shutil.copyfileobj(content, made)
                os.fchmod(made.fileno(), mode)
        os.rename(draft, last, src_dir_fd=inside, dst_dir_fd=inside)


def _linked(source: Path, name: str, inside: int, mode: int) -> bool:
    """Whether the file is there under this name now: one that is large, and is nobody else's."""
    there = source.stat()
    if there.st_size < COPIED_BYTES or there.st_nlink > 1:
        return False
    try:
        source.chmod(mode)
        os.link(source, name, dst_dir_fd=inside, follow_symlinks=False)
    # Another file system.
    except OSError:
        return False
    return True


def digest_of(url: str) -> str:
    """Of an input that a site fetches."""
    return url.rpartition("#sha256=")[2]


@contextlib.contextmanager
def _folder_made(name: str, inside: int, folder: JobFolder) -> Iterator[int]:
    """Never through a link. The job's user may write there, too."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=inside)
    with untrusted_files.opened_folder(name, inside=inside) as made:
        if folder.owner and os.fstat(made).st_uid == os.geteuid():
            os.fchmod(made, SHARED_FOLDER)
        yield made


def _is_there(name: str, inside: int) -> bool:
    try:
        os.stat(name, dir_fd=inside, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
