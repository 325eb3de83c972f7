"""The commands that the manual has its readers type, and the shell that they type them in."""

import os
import re
import sys
from pathlib import Path

from tests.support.servers import ROOT, RainbowServer

_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def typed(page: str, heading: str, containing: str) -> list[str]:
    """The commands of the block in a section of a page that has these words."""
    section = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (block,) = [block for block in _CONSOLE.findall(section) if containing in block]
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def terminal(folder: Path, server: RainbowServer) -> dict[str, str]:
    """The environment of a shell in which `rainbow` is this checkout's, and the server is where it is by default."""
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "rainbow"
    program.write_text(f"#!{sys.executable}\nfrom rainbow.cli import main\nmain(prog_name='rainbow')\n")
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAINBOW_")}
    return {
        **kept,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAINBOW_HOST": server.address,
        "RAINBOW_CONFIG": str(folder / "config.toml"),
    }
