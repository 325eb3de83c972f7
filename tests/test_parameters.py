"""A job for each row of a CSV file."""

from io import BytesIO
from pathlib import Path

import pytest

from rainbow import parameters
from rainbow.errors import InvalidArgument
from rainbow.parameters import Row, rows_in
from tests.support.commandline import Run, answer


def read(text: str) -> tuple[Row, ...]:
    return rows_in(BytesIO(text.encode()))


def test_each_row_has_its_line_and_variables() -> None:
    text = '\ufeffRATE,NOTE\r\n0.1,"a, ""b""\nc"\r\n\r\n0.2,\r\n'

    assert read(text) == (
        Row(line=2, variables={"RATE": "0.1", "NOTE": 'a, "b"\nc'}),
        Row(line=5, variables={"RATE": "0.2", "NOTE": ""}),
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "has no row below"),
        ("A\n", "has no row below"),
        ("A,A\n1,2\n", "line 1: names the column A twice"),
        ("1A\n1\n", "line 1: the column '1A'"),
        ("RAINBOW_JOB_ID\n1\n", "line 1: the column RAINBOW_JOB_ID is a variable that rainbow sets"),
        ("A,B\n1,2\n3\n", "line 3: has 1 cell, and 2 columns have a name"),
        ('A\n"1\n', "line 2: is no CSV"),
        ("A\n1\n\0\n", "line 3: has a null character"),
        (f"A\n{'x' * 70_000}\n", "line 2: has a cell of more"),
    ],
)
def test_what_is_no_file_of_parameters_is_told_with_its_line(text: str, what: str) -> None:
    with pytest.raises(InvalidArgument, match=what):
        read(text)


def test_what_is_not_utf_8_is_told_with_its_line() -> None:
    with pytest.raises(InvalidArgument, match="line 2: is not UTF-8"):
        rows_in(BytesIO(b"A\n\xff\n"))


def test_it_has_so_many_rows_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "MOST_MEMBERS", 2)
    with pytest.raises(InvalidArgument, match="more than 2 rows"):
        read("A\n1\n2\n3\n")
    monkeypatch.setattr(parameters, "MOST_BYTES", 3)
    with pytest.raises(InvalidArgument, match="is longer than"):
        read("A\n1\n2\n3\n")


def test_the_command_submits_a_job_for_each_row(rainbow: Run, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("RATE,LAYERS\n0.1,4\n0.01,8\n")

    done = answer(rainbow("submit", "--each", str(tmp_path / "p.csv"), "--env", "RATE=x", "--json", "--", "./run.sh"))

    ids = [job["id"] for job in answer(rainbow("jobs", "--group", str(done["group"]), "--json"))["jobs"]]
    jobs = [answer(rainbow("job", str(job_id), "--json")) for job_id in sorted(ids)]
    names = ("MIN", "MAX", "COUNT", "STEP")
    of_all = {f"SLURM_ARRAY_TASK_{name}": value for name, value in zip(names, "0121", strict=True)}
    assert [(job["array_index"], job["environment"]) for job in jobs] == [
        (0, {**of_all, "RATE": "0.1", "LAYERS": "4"}),
        (1, {**of_all, "RATE": "0.01", "LAYERS": "8"}),
    ]


def test_a_bad_file_submits_nothing(rainbow: Run, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("A,B\n1,2\n3\n")

    result = rainbow("submit", "--each", str(tmp_path / "p.csv"), "--", "true")

    assert result.exit_code == 2
    assert "line 3: has 1 cell," in result.stderr
    assert answer(rainbow("jobs", "--json"))["jobs"] == []
