"""Facts as messages of the protocol."""

from rainbow.facts import Facts, Partition, Value, told
from rainbow.protos import rainbow_pb2 as pb


def facts_message(facts: Facts) -> pb.Facts:
    return pb.Facts(
        values=[_fact(name, value) for name, value in facts.values.items()],
        partitions=[pb.Partition(**told(partition)) for partition in facts.partitions],
    )


def read_facts(message: pb.Facts) -> Facts:
    return Facts(
        values={fact.name: _value(fact) for fact in message.values},
        partitions=tuple(map(_partition, message.partitions)),
    )


def _fact(name: str, value: Value) -> pb.Fact:
    if isinstance(value, tuple):
        return pb.Fact(name=name, texts=value)
    return pb.Fact(name=name, text=value) if isinstance(value, str) else pb.Fact(name=name, number=value)


def _value(fact: pb.Fact) -> Value:
    if fact.HasField("text"):
        return fact.text
    if not fact.HasField("number"):
        return tuple(fact.texts)
    return int(fact.number) if fact.number.is_integer() else fact.number


def _partition(message: pb.Partition) -> Partition:
    counts = ("nodes", "cores_per_node", "memory_mib_per_node", "longest_seconds", "max_nodes")
    return Partition(
        name=message.name,
        gpus_per_node=dict(sorted(message.gpus_per_node.items())),
        default=message.default,
        features=tuple(message.features),
        **{name: getattr(message, name) for name in counts},
    )
