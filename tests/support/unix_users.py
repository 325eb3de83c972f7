"""Unix users that a test makes and removes, and an agent's user among them that may use sudo as deploy/ has it."""

import contextlib

# Another user may not be able to read Python's own folder, so what is loaded late is loaded before.
import encodings.ascii
import encodings.idna  # noqa: F401
import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import PATIENCE_SECONDS

SUDOERS = Path(__file__).parents[2] / "deploy" / "rainbow-agent.sudoers"
INSTALLED = Path("/etc/sudoers.d/rainbow-test")
AGENT, GROUP = "rainbow-agent", "rainbow-users"
USERS = ("rbtest-ada", "rbtest-bob")
OUTSIDER = "rbtest-eve"
# The machine has one user of a name: test processes that make these take turns.
TURN = Path("/run/rainbow-test-users.lock")
NEEDED = ("sudo", "visudo", "useradd", "userdel", "groupadd")


def obstacle() -> str:
    """Why such users cannot be made here; empty where they can."""
    if os.geteuid() != 0:
        return "only root can make users"
    if missing := [command for command in NEEDED if not shutil.which(command)]:
        return f"not installed: {missing}"
    return "the user rainbow-agent exists here already" if _exists(AGENT) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixUsers:
    """`folder` can be reached by all of them. The agent may hand over jobs of `ada` and `bob` alone."""

    folder: Path
    ada: str = USERS[0]
    bob: str = USERS[1]
    outsider: str = OUTSIDER
    agent: str = AGENT

    @property
    def persons(self) -> Path:
        return self.folder / "people"

    @property
    def signs(self) -> Path:
        """Where the agent's user makes files that jobs wait for."""
        return self.folder / "signs"

    @property
    def both(self) -> tuple[str, str]:
        return self.ada, self.bob

    @contextlib.contextmanager
    def out_of_the_group(self, user: str) -> Iterator[None]:
        """The agent may not act as this user meanwhile."""
        with acting_as_root():
            _run("gpasswd", "--delete", user, GROUP)
        yield
        with acting_as_root():
            _run("gpasswd", "--add", user, GROUP)

    def give_folder(self, user: str) -> None:
        _run("install", "-d", "-o", user, "-g", AGENT, "-m", "2770", str(self.persons / user))

    def sudo(self, *words: str, within: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """What the agent's user gets when it asks this of sudo, under the restrictions of `setpriv`."""
        me = ["setpriv", f"--reuid={self.agent}", f"--regid={self.agent}", "--init-groups", *within]
        with acting_as_root():
            return subprocess.run(
                [*me, "sudo", "-n", *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS, cwd="/"
            )


@contextlib.contextmanager
def unix_users(*, slurm_conf: str) -> Iterator[UnixUsers]:
    with TURN.open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with _users(slurm_conf) as made:
            yield made


@contextlib.contextmanager
def _users(slurm_conf: str) -> Iterator[UnixUsers]:
    folder = Path(tempfile.mkdtemp(prefix="rainbow-users-"))
    folder.chmod(0o755)
    try:
        _run("groupadd", "--force", GROUP)
        _run("useradd", "--system", "--create-home", "--user-group", AGENT)
        for user in USERS:
            _run("useradd", "--create-home", "--user-group", "--groups", GROUP, user)
        _run("useradd", "--create-home", "--user-group", OUTSIDER)
        made = UnixUsers(folder=folder)
        _run("install", "-d", "-o", AGENT, "-g", AGENT, "-m", "711", str(made.persons))
        _run("install", "-d", "-o", AGENT, "-g", AGENT, "-m", "700", str(folder / "state"))
        _run("install", "-d", "-o", AGENT, "-g", AGENT, "-m", "755", str(made.signs))
        _install_sudoers(folder, slurm_conf)
        yield made
    finally:
        INSTALLED.unlink(missing_ok=True)
        for user in (AGENT, *USERS, OUTSIDER):
            subprocess.run(["userdel", "--remove", user], capture_output=True)
        subprocess.run(["groupdel", GROUP], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def acting_as(user: str) -> Iterator[None]:
    """All threads of this process, and what it starts, are this user meanwhile; only here is root the saved user."""
    found, groups = pwd.getpwnam(user), os.getgroups()
    os.setgroups(os.getgrouplist(user, found.pw_gid))
    os.setresgid(found.pw_gid, found.pw_gid, 0)
    os.setresuid(found.pw_uid, found.pw_uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


@contextlib.contextmanager
def acting_as_root() -> Iterator[None]:
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    os.setresuid(0, 0, 0)
    try:
        yield
    finally:
        os.setgroups(groups)
        os.setresgid(gid, gid, 0)
        os.setresuid(uid, uid, 0)


def _install_sudoers(folder: Path, slurm_conf: str) -> None:
    """As in deploy/, with the one line that a slurm.conf in no usual place needs."""
    (folder / "slurm.env").write_text(f"SLURM_CONF={slurm_conf}\n")
    line = "Defaults:rainbow-agent env_file="
    text = SUDOERS.read_text().replace(f"#{line}/etc/rainbow/slurm.env", f"{line}{folder}/slurm.env")
    draft = folder / "sudoers"
    draft.write_text(text)
    _run("visudo", "-cf", str(draft))
    _run("install", "-m", "440", str(draft), str(INSTALLED))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
