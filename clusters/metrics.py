"""Metrics of clusters and credentials, and counters with a label for each cluster."""

from prometheus_client import Counter

# The registration secret registers any number of clusters; further ones share a label.
MOST_CLUSTERS = 1_000
# No cluster can have this name.
OTHERS = "(others)"

CREDENTIALS_REFUSED = Counter(
    "rainbow_credentials_refused_total",
    "Refused credentials that count towards a lock-out, by what they were for.",
    ["purpose"],
)
LOCK_OUTS = Counter(
    "rainbow_lock_outs_total",
    "Attempts that were refused since their source was refused too often of late.",
    ["purpose"],
)


class ClusterCounter:
    """A counter with a label `cluster`, and others whose values are few. Looking labels up each time is too costly."""

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        self._counter = Counter(name, documentation, ["cluster", *labels])
        self._children: dict[tuple[str, ...], Counter] = {}
        self._clusters: set[str] = set()

    def add(self, number: int, cluster: str, *values: str) -> None:
        child = self._children.get((cluster, *values)) or self._child(cluster, values)
        child.inc(number)

    def _child(self, cluster: str, values: tuple[str, ...]) -> Counter:
        if cluster not in self._clusters and len(self._clusters) >= MOST_CLUSTERS:
            return self._counter.labels(OTHERS, *values)
        self._clusters.add(cluster)
        child = self._children[cluster, *values] = self._counter.labels(cluster, *values)
        return child
