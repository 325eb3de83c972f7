"""Jobs of several Unix users, each handed over by `sudo` as the user that it belongs to.

Each user has a folder that root made (docs/people-at-sites.md): it belongs to that user and to the agent's group, and
others do not get into it. In it the agent makes one for each job, in which both may write. So what a job writes belongs
to its user, and no other user's job can put anything in its place.
"""

import os
import pwd
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from rainbow.executors.executor import Site, WorkRefused
from rainbow.executors.folders import JobFolder, Owner, Records, folder_of
from rainbow.executors.trash import PLACE
from rainbow.specs import Work

# Below are root and the system's own users (login.defs(5), UID_MIN).
LOWEST_UID = 1000
NOBODY = 65534
# Not `#0`, which sudo takes for a number, nor an option.
UNIX_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", re.ASCII)
# For root to make, with the user's own group without rights; see above.
FOLDER_MODE = 0o2770
# Slurm opens a job's output with this; the script gives the command another.
UMASK = 0o007
# The shell holds what it is to keep open until the command ends; sudo closes all but standard input and outputs.
HOLDING = ("/bin/sh", "-c", '"$@"; exit $?', "sh")

_NOTE = "user"
# In the job's folder, by the agent: its user can move it, and make none.
_MARK = "given"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixUser:
    name: str
    uid: int
    home: str


def unix_user(name: str) -> UnixUser:
    """Raises WorkRefused for one that no job may run as."""
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise WorkRefused(f"this cluster has no Unix user {name}") from error
    if found.pw_uid < LOWEST_UID or found.pw_uid == NOBODY or name == PLACE:
        raise WorkRefused(f"this cluster runs no jobs as {name}, a user of the system")
    if found.pw_name != name:
        raise WorkRefused(f"this cluster knows the Unix user {name} as {found.pw_name}")
    if found.pw_uid == os.geteuid():
        raise WorkRefused(f"this cluster runs no jobs as {name}, the agent's own user")
    return UnixUser(name=found.pw_name, uid=found.pw_uid, home=found.pw_dir)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A job's folder, made, and the site as it is for its user. `umask` is -1 where it stays as it is."""

    folder: JobFolder
    site: Site
    umask: int = -1


class AsAgent:
    """All jobs are of the agent's own user."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def begin(self, work: Work, key: str) -> Begun:
        folder = self.folder(key)
        folder.make()
        return Begun(folder=folder, site=self._site)

    def folder(self, key: str) -> JobFolder:
        return folder_of(self._site.folder, key)

    def uids(self) -> list[int]:
        return [os.geteuid()]

    def may_be_of(self, user: str, folder: JobFolder) -> bool:
        return True

    def adopt(self, user: str, key: str) -> None:
        """There is nothing to note: all have the same."""


class AsPersons:
    """Each job is of the user that it names."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self._users = folder.absolute()
        self._users.mkdir(parents=True, exist_ok=True)
        if self._users.stat().st_uid == os.geteuid():
            # They pass through it to their own.
            self._users.chmod(0o711)

    def begin(self, work: Work, key: str) -> Begun:
        """Raises WorkRefused where the job cannot be this user's."""
        user = unix_user(work.run_as)
        self._check(user)
        notes = folder_of(self._site.folder, key).notes
        notes.make()
        if notes.has(_NOTE) and notes.words(_NOTE) != [user.name, str(user.uid)]:
            # A submission as that user may still arrive, and no claim would keep it from running beside this one.
            raise WorkRefused(f"it was handed over as {notes.words(_NOTE)[0]} before, and cannot be as {user.name}")
        notes.keep_durably(_NOTE, f"{user.name} {user.uid}\n".encode())
        folder = self._owned(folder_of(self._site.folder, key), user.name, user.uid)
        folder.make()
        _mark(folder).keep_durably(_MARK, f"{' '.join(_marked(key, user.name))}\n".encode())
        environment = {**self._site.environment, "HOME": user.home, "USER": user.name, "LOGNAME": user.name}
        return Begun(folder=folder, site=replace(self._site, environment=environment), umask=UMASK)

    def folder(self, key: str) -> JobFolder:
        """Of a job that no user has yet, it is one that does not exist."""
        own = folder_of(self._site.folder, key)
        words = own.notes.words(_NOTE)
        return self._owned(own, words[0], int(words[1])) if len(words) == 2 else own

    def uids(self) -> list[int]:
        with os.scandir(self._users) as entries:
            folders = [entry for entry in entries if UNIX_NAME.fullmatch(entry.name) and entry.name != PLACE]
            return sorted({entry.stat(follow_symlinks=False).st_uid for entry in folders})

    def may_be_of(self, user: str, folder: JobFolder) -> bool:
        """Of a job that no user has yet, none may be: names and folders in Slurm are their users' choice."""
        return folder.owner is not None and user == folder.owner.user

    def adopt(self, user: str, key: str) -> None:
        """Note whose a job is that the scheduler has, in case that the agent's own folder was lost.

        Only of a user to whom the agent gave this job: others may have one of its name, too.
        """
        own = folder_of(self._site.folder, key)
        if own.notes.has(_NOTE) or not UNIX_NAME.fullmatch(user):
            return
        try:
            uid = (self._users / user).lstat().st_uid
        except OSError:
            return
        if _mark(self._owned(own, user, uid)).words(_MARK) == _marked(key, user):
            own.notes.make()
            own.notes.keep_durably(_NOTE, f"{user} {uid}\n".encode())

    def _owned(self, own: JobFolder, user: str, uid: int) -> JobFolder:
        return replace(own, owner=Owner(folder=self._users, user=user, uid=uid))

    def _check(self, user: UnixUser) -> None:
        path = self._users / user.name
        try:
            found = path.lstat()
        except OSError as error:
            raise WorkRefused(f"{user.name} has no folder {path} at this cluster") from error
        groups = {os.getegid(), *os.getgroups()}
        is_right = stat.S_ISDIR(found.st_mode) and found.st_uid == user.uid and found.st_gid in groups
        if not is_right or stat.S_IMODE(found.st_mode) != FOLDER_MODE:
            raise WorkRefused(
                f"{path} at this cluster must be a folder of {user.name} and the agent's group, of mode {FOLDER_MODE:o}"
            )


def _mark(folder: JobFolder) -> Records:
    """The job's folder, as far as the agent alone wrote it."""
    return replace(folder.job, owner=None)


def _marked(key: str, user: str) -> list[str]:
    return [key, user]


def as_whom(site: Site) -> AsAgent | AsPersons:
    return AsPersons(site, site.persons) if site.persons else AsAgent(site)


def as_owner(folder: JobFolder, *command: str) -> list[str]:
    """The command, run as the user whose job it is."""
    if not folder.owner:
        return list(command)
    return [*HOLDING, "sudo", "-n", "-H", "-u", folder.owner.user, "--", *command]


def by_owner(folders: Collection[JobFolder]) -> list[list[JobFolder]]:
    """Those that one command can name together."""
    users = sorted({folder.owner.user if folder.owner else "" for folder in folders})
    return [[folder for folder in folders if (folder.owner.user if folder.owner else "") == user] for user in users]
