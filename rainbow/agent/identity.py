"""The name by which the server knows an agent: one for each state folder."""

import contextlib
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from rainbow.errors import FailedPrecondition, why
from rainbow.system.untrusted_files import opened_folder, read

FILE = "identity"
# Before its first start is over, a machine may have another word there (machine-id(5)).
MACHINE = re.compile(r"[0-9a-f]{32}")
MARK = re.compile(r"[0-9a-f]{6,32}")
LONGEST = 1000
# File systems that several machines see, by their names in mountinfo; fuse.* are some of them.
OF_SEVERAL_MACHINES = {
    "9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs",
    "smb3", "virtiofs", "wekafs",
}  # fmt: skip
# These number their files anew whenever they are mounted.
WITHOUT_NUMBERS = {"exfat", "msdos", "overlay", "vfat"}
MACHINE_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a state folder is, by what stays the same as long as it is the same folder.

    Device numbers do not stay: network file systems, btrfs and volume managers give new ones after a restart. So there
    is the inode, 0 where the file system gives new ones, and the machine, empty where several see the folder or it has
    no id.
    """

    inode: int
    machine: str


def identity_in(folder: Path, name: str, *, moved: bool = False) -> str:
    """The agent's name and a mark of its state folder: login1/3f9a2c.

    The server lets an agent accept a job twice, so two agents must never share a name.
    Raises FailedPrecondition for a folder that is a copy of another one, unless it `moved`.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        here = _place_of(folder)
        known = _read(folder)
        mark, place = known or (secrets.token_hex(3), here)
        if place and not moved and not _is_same(place, here):
            raise FailedPrecondition(_copied(folder))
        if place != here or not known:
            _write(folder, mark, here)
    except OSError as error:
        raise FailedPrecondition(f"cannot keep the agent's identity in {folder}: {why(error)}") from error
    return f"{name}/{mark}"


def fault(folder: Path) -> str:
    """Why no agent can start in a folder, by its identity; empty where one can, or there is none yet."""
    try:
        known = _read(folder)
        copied = known and known[1] and not _is_same(known[1], _place_of(folder))
    except FailedPrecondition as error:
        return error.message
    except OSError as error:
        return f"cannot read {folder / FILE}: {why(error)}"
    return _copied(folder) if copied else ""


def _is_same(place: Place, here: Place) -> bool:
    other_folder = place.inode and here.inode and place.inode != here.inode
    other_machine = place.machine and here.machine and place.machine != here.machine
    return not other_folder and not other_machine


def _copied(folder: Path) -> str:
    return (
        f"the state folder {folder} is a copy of another one, or it was moved: two agents of one identity would run"
        " jobs twice. If no agent uses the other one any more, start once with --moved; if it is a copy, remove it and"
        " start with a new folder"
    )


def _read(folder: Path) -> tuple[str, Place | None] | None:
    """The mark, and the place where it was made, which files of earlier versions lack."""
    try:
        with opened_folder(folder) as handle:
            text = read(FILE, inside=handle, most_bytes=LONGEST).decode("ascii").strip()
        if MARK.fullmatch(text):
            return text, None
        content = json.loads(text)
        mark, place = str(content["mark"]), Place(inode=int(content["inode"]), machine=str(content["machine"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise FailedPrecondition(_damaged(folder)) from error
    if not MARK.fullmatch(mark):
        raise FailedPrecondition(_damaged(folder))
    return mark, place


def _damaged(folder: Path) -> str:
    return (
        f"{folder / FILE} holds no identity. If jobs of this agent still run, write the mark from its name into it, the"
        " six letters and digits behind the slash that `rainbow job` shows; otherwise remove the whole folder"
    )


def _write(folder: Path, mark: str, place: Place) -> None:
    draft = folder / f"{FILE}.{os.getpid()}"
    with draft.open("w", encoding="ascii") as stream:
        stream.write(json.dumps({"mark": mark, **asdict(place)}) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(folder / FILE)


def _place_of(folder: Path) -> Place:
    with opened_folder(folder) as handle:
        kind = _file_system(handle)
        inode = 0 if kind in WITHOUT_NUMBERS or kind.startswith("fuse") else os.fstat(handle).st_ino
    return Place(inode=inode, machine="" if kind in OF_SEVERAL_MACHINES or kind.startswith("fuse") else _machine())


def _file_system(handle: int) -> str:
    """Its type by proc(5), mountinfo; empty where the system does not say."""
    try:
        about = Path(f"/proc/self/fdinfo/{handle}").read_text()
        mount = next(line.split()[1] for line in about.splitlines() if line.startswith("mnt_id:"))
        mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
        return next(words[words.index("-") + 1] for words in mounts if words[0] == mount)
    except (OSError, StopIteration, ValueError):
        return ""


def _machine() -> str:
    for file in MACHINE_FILES:
        with contextlib.suppress(OSError, ValueError):
            if MACHINE.fullmatch(name := file.read_text(encoding="ascii").strip()):
                return name
    return ""
