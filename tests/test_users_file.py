"""users.toml: what is read, what is refused, and what happens while it cannot be used."""

import os
from pathlib import Path

import pytest

from rainbow.agent.people import People, UsersFile
from rainbow.agent.users_file import Person, read_users
from rainbow.errors import InvalidArgument
from rainbow.executors.executor import NotTaken, WorkRefused
from rainbow.specs import Work

ADA = '[people.ada]\nuser = "nobody-of-this-name"\naccount = "physics"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written = tmp_path / "our users.toml"
    written.write_text(ADA)
    written.chmod(0o644)
    return written


def test_it_says_which_user_and_account_a_person_has(path: Path) -> None:
    path.write_text(f'{ADA}[people."bob@example.org"]\nuser = "bob"\n')

    assert read_users(path).people == {
        "ada": Person(user="nobody-of-this-name", account="physics"),
        "bob@example.org": Person(user="bob"),
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("people = 7", "must be a table of persons"),
        ("[persons.ada]", "there is no persons; known are people"),
        ('[people.ada]\nusr = "ada"', "people.ada: there is no usr"),
        ("people.ada = 7", "must be a table"),
        ('[people.""]', "must be a table, and its name 1 to 150 characters"),
        ("[people.ada]\nuser = 7", "people.ada.user must be the name of a Unix user"),
        ('[people.ada]\nuser = "#0"', "people.ada.user must be the name of a Unix user"),
        ('[people.ada]\nuser = "-u"', "people.ada.user must be the name of a Unix user"),
        ('[people.ada]\nuser = "a/../b"', "people.ada.user must be the name of a Unix user"),
        ("[people.ada]\naccount = []", "people.ada.account must be the name of an account"),
        ('[people.ada]\naccount = "a\\nb"', "people.ada.account must be the name of an account"),
        ('[people.ada]\nuser = "a"\n[people.ada]\nuser = "b"', "is not valid TOML"),
    ],
)
def test_what_is_not_meant_like_this_is_refused(path: Path, text: str, reason: str) -> None:
    path.write_text(text)

    with pytest.raises(InvalidArgument, match=reason):
        read_users(path)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)

    with pytest.raises(InvalidArgument, match=r"must not be writable by others: chmod go-w '/.*/our users\.toml'$"):
        read_users(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_refused(path: Path) -> None:
    os.chown(path, 12345, -1)

    with pytest.raises(InvalidArgument, match="must be a file of root or of the agent's user"):
        read_users(path)


def test_it_is_read_again_when_it_changes(path: Path) -> None:
    file = UsersFile(path=path)
    assert set(file.users().people) == {"ada"}

    path.write_text('[people.grace]\nuser = "grace"\n')

    assert set(file.users().people) == {"grace"}


def test_while_it_is_broken_no_job_is_anyones(path: Path) -> None:
    people = People(file=UsersFile(path=path), run_as_person=True)
    work = Work(command="true", owner="ada")
    with pytest.raises(WorkRefused, match="has no Unix user nobody-of-this-name"):
        people.as_owner(work)

    path.write_text("[people")

    assert "is not valid TOML" in people.fault()
    with pytest.raises(NotTaken, match="is not valid TOML"):
        people.as_owner(work)
    path.unlink()
    assert "cannot read" in people.fault()
    path.write_text(ADA)
    assert people.fault() == ""


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        ("", "this one is no person's"),
        ("grace", "has no Unix user for grace"),
        ("Ada", "has no Unix user for Ada"),
    ],
)
def test_a_job_of_no_person_of_the_file_is_refused(path: Path, owner: str, reason: str) -> None:
    people = People(file=UsersFile(path=path), run_as_person=True)

    with pytest.raises(WorkRefused, match=reason):
        people.as_owner(Work(command="true", owner=owner, run_as="root"))


def test_without_it_a_job_runs_as_the_agents_user_whatever_the_server_says() -> None:
    assert People().as_owner(Work(command="true", owner="ada", run_as="root")).run_as == ""
