"""Whose jobs an agent runs, and as whom."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from rainbow.agent.site_file import version_of
from rainbow.agent.users_file import Users, read_users
from rainbow.errors import InvalidArgument
from rainbow.executors.executor import NotTaken, WorkRefused
from rainbow.executors.persons import unix_user
from rainbow.specs import Work


@dataclass(slots=True, kw_only=True)
class UsersFile:
    """users.toml as it is now. `fault` says what is wrong with it; empty where nothing is."""

    path: Path
    fault: str = ""
    _users: Users = field(default_factory=Users)
    _seen: tuple[int, ...] = ()

    def users(self) -> Users:
        """Read again when the file has changed. Nobody while it cannot be used."""
        seen = version_of(self.path)
        if seen != self._seen or not seen:
            self._seen = seen
            try:
                self._users, self.fault = read_users(self.path), ""
            except InvalidArgument as error:
                self._users, self.fault = Users(), str(error)
        return self._users


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """`run_as_person`: each job runs as the Unix user of its owner, and no job as the agent's. `file` is users.toml."""

    file: UsersFile | None = None
    run_as_person: bool = False

    def fault(self) -> str:
        """Why it is not known for now as whom jobs run; empty where it is."""
        if self.file:
            self.file.users()
            return self.file.fault
        return ""

    def as_owner(self, work: Work) -> Work:
        """The work as the user whose job it is.

        Raises WorkRefused where it can run as none, and NotTaken while that is not known.
        """
        if not self.run_as_person or not self.file:
            return replace(work, run_as="")
        if fault := self.fault():
            raise NotTaken(fault)
        if not work.owner:
            raise WorkRefused("this cluster runs jobs as the persons whose they are, and this one is no person's")
        person = self.file.users().people.get(work.owner)
        if not person or not person.user:
            raise WorkRefused(f"this cluster has no Unix user for {work.owner}")
        user = unix_user(person.user)
        return replace(work, run_as=user.name, account=work.account or person.account)
