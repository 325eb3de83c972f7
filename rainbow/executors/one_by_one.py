"""For schedulers that are given each job by itself."""

from collections.abc import Mapping

from rainbow.specs import Work


class OneByOne:
    def batches(self, works: Mapping[str, Work]) -> list[list[str]]:
        return []

    def submit_together(self, works: Mapping[str, Work]) -> dict[str, str]:
        raise NotImplementedError("there are no batches")
