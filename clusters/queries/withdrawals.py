"""From whom something was taken lately."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from clusters.callers import Holder
from clusters.models import Credential, Membership, Withdrawal

# In the time that a server takes between two reads there are never so many.
_MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """`ids` are all the latest, `holders` those whom the new ones concern."""

    ids: frozenset[int] = frozenset()
    holders: frozenset[Holder] = frozenset()


def withdrawn_since(*, seen: Set[int]) -> Withdrawn:
    """The latest, but for the holders of those that were `seen`.

    By their ids, since transactions may commit in another order.
    """
    ids = frozenset(Withdrawal.objects.order_by("-id").values_list("id", flat=True)[:_MOST])
    new = ids - seen
    return Withdrawn(ids=ids, holders=frozenset(_holders(new)) if new else frozenset())


def _holders(ids: Iterable[int]) -> Iterable[Holder]:
    projects = set[int]()
    for row in Withdrawal.objects.filter(id__in=list(ids)):
        if row.credential_id:
            yield Holder("credential", row.credential_id)
        if row.person_id:
            yield Holder("person", row.person_id)
        if row.project_id:
            projects.add(row.project_id)
    members = Membership.objects.filter(project_id__in=projects)
    yield from (Holder("person", person) for person in members.values_list("person_id", flat=True))
    tokens = Credential.objects.filter(project_id__in=projects, person__isnull=True)
    yield from (Holder("credential", token) for token in tokens.values_list("id", flat=True))
