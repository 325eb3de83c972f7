"""Options of `rainbow submit` for what a job asks of its cluster, and those that people know from Slurm."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from rainbow.commands import submit
from rainbow.terminal.submit_command import SECTIONS
from tests.support.commandline import Run, answer


def said(rainbow: Run, *options: str) -> dict[str, Any]:
    jobid = answer(rainbow("submit", "--json", *options, "--", "true"))["jobid"]
    job: dict[str, Any] = answer(rainbow("job", "--json", str(jobid)))
    return job


def test_what_a_job_asks_of_its_cluster_arrives(rainbow: Run) -> None:
    job = said(
        rainbow,
        *("--cores-per-task", "4", "--gpus-per-task", "2", "--gpu-type", "a100", "--memory", "64G", "--exclusive"),
        *("--account", "physics", "--partition", "gpu", "--qos", "long", "--reservation", "r", "--constraint", "a&b"),
        *("--at", "keebler:qos=a=b", "--at", "keebler:account="),
        *("--image", "docker.io/library/debian:12", "--mount", "/data:/data", "--mount", "/opt:/opt:ro"),
        *("--need", "site=geneva", "--need", "gpus>=4", "--need", "site=geneva", "--hold-if-unservable"),
        *("--start-within", "1h30m"),
    )

    assert (job["cores_per_task"], job["gpus_per_task"], job["gpu_type"]) == (4, 2, "a100")
    assert (job["memory_mib_per_node"], job["exclusive"]) == (65_536, True)
    assert [job[name] for name in ("account", "partition", "qos", "reservation", "constraint")] == [
        *("physics", "gpu", "long", "r", "a&b")
    ]
    assert job["options_by_cluster"] == {"keebler:qos": "a=b", "keebler:account": ""}
    assert (job["image"], job["mounts"]) == ("docker.io/library/debian:12", ["/data:/data", "/opt:/opt:ro"])
    assert job["needs"] == ["site=geneva", "gpus>=4"]
    assert (job["hold_if_unservable"], job["start_within_seconds"]) == (True, 5_400)


def test_what_a_job_asks_of_its_cluster_is_shown(rainbow: Run) -> None:
    submitted = rainbow("submit", "--json", "--memory", "1.5T", "--exclusive", "--need", "!gpu", "--", "true")

    shown = rainbow("job", str(answer(submitted)["jobid"])).stdout

    assert [line.split(None, 1)[1] for line in shown.splitlines() if line.startswith(("exclusive", "needs"))] == [
        *("yes", "!gpu")
    ]
    assert "1536 GiB" in shown


@pytest.mark.parametrize(
    ("size", "mib"), [("500M", 500), ("64g", 65_536), ("1.5GiB", 1_536), ("0.25T", 262_144), ("1024TiB", 2**30)]
)
@pytest.mark.parametrize("option", ["--memory", "--mem"])
def test_memory_is_a_whole_number_of_mib(rainbow: Run, option: str, size: str, mib: int) -> None:
    assert said(rainbow, option, size)["memory_mib_per_node"] == mib


@pytest.mark.parametrize(
    ("size", "complaint"),
    [
        ("64", "'64' is not an amount of memory; write it with its unit, as in 512M, 64G or 1.5TiB"),
        ("64GB", "is not an amount of memory"),
        ("64K", "is not an amount of memory"),
        ("-1G", "is not an amount of memory"),
        ("0G", "0G is not a whole number of MiB within 1 MiB to 1024 TiB"),
        ("0.3M", "0.3M is not a whole number of MiB"),
        ("1025T", "1025T is not a whole number of MiB within 1 MiB to 1024 TiB"),
    ],
)
def test_another_amount_of_memory_is_refused(rainbow: Run, size: str, complaint: str) -> None:
    result = rainbow("submit", "--memory", size, "--", "true")

    assert result.exit_code == 2
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("options", "gpus_per_task"),
    [
        (["--gpus-per-node", "4"], 4),
        (["--nodes", "3", "--gpus-per-node", "4"], 4),
        (["--nodes", "2", "--tasks", "8", "--gpus-per-node", "4"], 1),
        (["--nodes", "2", "--tasks", "4", "--gpus-per-node", "4"], 2),
    ],
)
def test_gpus_per_node_are_shared_by_the_tasks_of_a_node(rainbow: Run, options: list[str], gpus_per_task: int) -> None:
    assert said(rainbow, *options)["gpus_per_task"] == gpus_per_task


def test_cpus_per_task_are_cores_per_task(rainbow: Run) -> None:
    assert said(rainbow, "--cpus-per-task", "4")["cores_per_task"] == 4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["-n2", "-t5", "--gpus-per-node=4"], "--gpus-per-node: 5 tasks do not spread evenly over 2 nodes;"),
        (["-n2", "-t1", "--gpus-per-node=4"], "--gpus-per-node: 1 tasks do not spread evenly over 2 nodes;"),
        (["-n2", "-t8", "--gpus-per-node=3"], "3 GPUs do not spread evenly over 4 tasks of a node;"),
        (["--gpus-per-node=4", "--gpus-per-task=1"], "either --gpus-per-task or --gpus-per-node"),
        (["--gpus-per-node=a100:4"], "say 4, and --gpu-type a100"),
        (["--gpus-per-task=a100:1"], "say 1, and --gpu-type a100"),
        (["--gres=gpu:a100:2"], "There is no --gres; say --gpus-per-node 2 --gpu-type a100."),
        (["--gres=gpu:2"], "say --gpus-per-node 2."),
        (["--gres=gpu"], "say --gpus-per-node 1."),
        (["--gres=craynetwork:1"], "say which GPUs with --gpus-per-task and --gpu-type"),
        (["-n2", "-t8", "--cpus-per-task=3", "--mem-per-cpu=4G"], "say --memory 49152M, for each node."),
        (["-n2", "-t5", "--mem-per-cpu=4G"], "There is no --mem-per-cpu; say --memory, for each node."),
        (["--mem-per-cpu=4000"], "There is no --mem-per-cpu; say --memory, for each node."),
        (["--at=keebler:qos"], "has not the form CLUSTER:OPTION=VALUE"),
        (["--gpu-type=a100"], "--gpu-type: needs --gpus-per-task"),
        (["--mount=/a:/b"], "--mount: needs --image"),
        (["--spill-after=10m"], "--spill-after: needs --prefer"),
        (["--need=a>1"], "--need: terms must be NAME, !NAME, NAME=VALUE or NAME>=NUMBER"),
    ],
)
def test_what_does_not_translate_is_refused_with_what_to_say(rainbow: Run, options: list[str], complaint: str) -> None:
    result = rainbow("submit", *options, "--", "true")

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert answer(rainbow("jobs", "--json"))["jobs"] == []


def test_the_help_has_a_section_for_each_option_of_a_job() -> None:
    shown = {param.name for param in submit.command.params if isinstance(param, click.Option) and not param.hidden}
    listed = [name for names in SECTIONS.values() for name in names]

    assert set(listed) <= shown
    assert shown - set(listed) <= {"as_json"}
    assert len(set(listed)) == len(listed)


def test_the_help_shows_each_section_and_each_option_once(rainbow: Run) -> None:
    shown = rainbow("submit", "--help").stdout

    assert all(f"\n{title}:\n" in shown for title in (*SECTIONS, "Other options"))
    options = [opt for param in submit.command.params if not getattr(param, "hidden", False) for opt in param.opts]
    assert all(option in shown for option in options if option.startswith("--"))
    assert "--gres" not in shown


def test_the_clusters_that_a_job_prefers_arrive(rainbow: Run) -> None:
    here = said(rainbow)["cluster"]

    job = said(rainbow, "--prefer", here, "--prefer", here, "--spill-after", "10m")
    refused = rainbow("submit", "--prefer", "nosuch", "--", "true")

    assert (job["clusters"], job["spill_after_seconds"]) == ([here], 600)
    assert refused.exit_code == 2
    assert "--prefer: jobs submitted here may not go to 'nosuch'" in refused.stderr


def test_a_job_that_expires_fails_while_it_is_waited_for(rainbow: Run) -> None:
    # By then it has long been submitted, also on a busy machine.
    result = rainbow("submit", "--expires-in", "10", "--wait", "--", "true")

    assert result.exit_code == 1
    assert "it expired while it waited: " in result.stderr


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%M:00.000Z"])
def test_the_time_at_which_a_job_expires_arrives(rainbow: Run, form: str) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)

    assert said(rainbow, "--expires", tomorrow.strftime(form))["expires_at"] == tomorrow.isoformat()


def test_a_time_without_an_offset_is_that_of_this_machine(rainbow: Run) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)

    assert said(rainbow, "--expires", f"{tomorrow.astimezone():%Y-%m-%dT%H:%M}")["expires_at"] == tomorrow.isoformat()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--expires", "tomorrow"], "'tomorrow' is not a time; write it as 2026-12-01T12:00"),
        (["--expires", "0001-01-01"], "'0001-01-01' is not a time"),
        (["--expires", "2020-01-01"], "--expires: must be in the future, at most 365 days ahead"),
        (["--expires", "2026-12-31T12:00", "--expires-in", "2h"], "Give either --expires or --expires-in, not both."),
        (["--expires-in", "366d"], "366d is not within 1 second to 365 days"),
    ],
)
def test_a_time_that_cannot_be_is_refused(rainbow: Run, options: list[str], complaint: str) -> None:
    result = rainbow("submit", *options, "--", "true")

    assert result.exit_code == 2
    assert complaint in result.stderr


def test_a_job_that_waits_for_others_is_told_and_shown_so(rainbow: Run) -> None:
    parent = answer(rainbow("submit", "--json", "--", "true"))["jobid"]

    told = rainbow("submit", "--after", f"any:{parent}", "--key", "k", "--", "true")
    child = int(told.stdout.split()[2])
    shown = rainbow("job", str(child)).stdout

    assert told.stdout.splitlines()[0].endswith("; it waits for other jobs.")
    assert f"Why it waits: waits for job {parent} to end (queued); it is in no queue until then" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("after")] == [["after:", f"any:{parent}"]]
    rainbow("cancel", str(parent))
    assert answer(rainbow("job", "--json", str(child)))["state"] == "queued"
    refused = rainbow("submit", "--after", "2000000000", "--", "true")
    assert (refused.exit_code != 0, "--after" in refused.stderr) == (True, True), refused.stderr
