"""Translation between protobuf messages and what is known of clusters."""

from clusters.facts import COUNTS, MAX_BYTES, Facts, Partition, Value, check_counts
from rainbow.errors import InvalidArgument
from rainbow.protos import rainbow_pb2 as pb

# Facts are measured as JSON; their messages are not much longer.
FACTS_LIMIT = 2 * MAX_BYTES


def facts_from(message: pb.Facts) -> Facts:
    """Raises InvalidArgument for too many of them, two values of one name, and a value of two kinds."""
    check_counts(values=len(message.values), partitions=len(message.partitions))
    values = {fact.name: _value_from(fact) for fact in message.values}
    if len(values) < len(message.values):
        raise InvalidArgument("must be of different names", field="facts.values")
    return Facts(values=values, partitions=tuple(map(_partition_from, message.partitions)))


def facts_to_message(facts: Facts) -> pb.Facts:
    return pb.Facts(
        values=[_fact_to_message(name, value) for name, value in facts.values.items()],
        partitions=[pb.Partition(**partition.said()) for partition in facts.partitions],
    )


def _value_from(fact: pb.Fact) -> Value:
    if fact.HasField("number") and not fact.HasField("text") and not fact.texts:
        return int(fact.number) if fact.number.is_integer() else fact.number
    if fact.HasField("text") and not fact.HasField("number") and not fact.texts:
        return fact.text
    if fact.HasField("text") or fact.HasField("number"):
        raise InvalidArgument("each must be a number, a text or a set", field="facts.values")
    return tuple(fact.texts)


def _fact_to_message(name: str, value: Value) -> pb.Fact:
    if isinstance(value, tuple):
        return pb.Fact(name=name, texts=value)
    return pb.Fact(name=name, text=value) if isinstance(value, str) else pb.Fact(name=name, number=value)


def _partition_from(message: pb.Partition) -> Partition:
    return Partition(
        name=message.name,
        gpus_per_node=dict(sorted(message.gpus_per_node.items())),
        default=message.default,
        features=tuple(message.features),
        **{name: getattr(message, name) for name in COUNTS},
    )
