"""Which folders of the machine a site lets jobs mount, and where."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from rainbow.executors.container_mounts import Mount


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedMount:
    """From `source` or below, to `target` or below. `text` is how the site wrote it."""

    text: str
    source: PurePosixPath
    target: PurePosixPath
    read_only: bool

    def allows(self, mount: Mount) -> bool:
        source, target = PurePosixPath(mount.source), PurePosixPath(mount.target)
        return (
            ".." not in (*source.parts, *target.parts)
            and source.is_relative_to(self.source)
            and target.is_relative_to(self.target)
            and (mount.read_only or not self.read_only)
        )


def allowed_mount(text: str) -> AllowedMount | None:
    """From SOURCE[:TARGET][:ro]; None for what is no such text. Without a target, it is the source."""
    writable = text.removesuffix(":ro")
    source, _, target = writable.partition(":")
    paths = [PurePosixPath(path) for path in (source, target or source)]
    if not all(path.is_absolute() and ".." not in path.parts and ":" not in str(path) for path in paths):
        return None
    return AllowedMount(text=text, source=paths[0], target=paths[1], read_only=writable != text)
