"""docs/sbatch.md works as it stands there: each command is run, and prints what it prints there."""

from collections.abc import Callable
from pathlib import Path

from tests.support.servers import RainbowServer
from tests.support.tours import shell, steps, take


def test_a_tour_for_people_who_know_slurm(
    start_server: Callable[..., RainbowServer], embedded_database: str, tmp_path: Path
) -> None:
    server = start_server(database_url=embedded_database, environment={"RAINBOW_REGISTRATION_SECRET": ""})
    with shell(server, tmp_path) as environment:
        for step in steps("sbatch.md"):
            take(step, environment=environment, folder=tmp_path)
