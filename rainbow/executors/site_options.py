"""Options of a site's scheduler that a job has for one cluster and not for another."""

from dataclasses import replace
from typing import Any

from rainbow.spec_rules import SITE_OPTIONS
from rainbow.specs import Work


def at_cluster(work: Work, cluster: str) -> Work:
    """The work as it is at this cluster: what it says for all clusters gives way to what it says for this one."""
    options = work.options(cluster)
    chosen: dict[str, Any] = {name: options.get(name, "") for name in SITE_OPTIONS}
    return replace(work, **chosen, options_by_cluster={})
