from typing import Any

from rest_framework import serializers

from clusters.validation import MAX_REASON
from jobs.models import MAX_ID, JobEvent
from jobs.rest.facts import FactsSerializer
from jobs.rest.job_serializers import JobBriefSerializer
from jobs.rest.spec_serializers import KeyedJobSpecSerializer
from jobs.services.cancel import MAX_IDS as MAX_CANCEL
from jobs.signals import SIGNALS
from jobs.specs import MAX_INT, MAX_KEY, MAX_NAME, MAX_PRIORITY
from rainbow_site.web.rest.fields import CLUSTER_NAME, LINE, Choice, Flag, Input, Number, Numbers, Text

MAX_BATCH = 10_000


class GroupWishSerializer(Input):
    name = Text(max_length=MAX_NAME, pattern=LINE, allow_blank=True, default="", help_text="what a new group is called")
    at_once = Number(
        min_value=0,
        max_value=MAX_INT,
        default=0,
        help_text="how many members may be in queues and clusters at a time; 0 means any number",
    )
    stop_after_failures = Number(
        min_value=0,
        max_value=MAX_INT,
        default=0,
        help_text="after how many failed members the rest is cancelled; 0 means never",
    )
    id = Number(
        min_value=0, max_value=MAX_ID, default=0, help_text="a group of the caller's that takes further members; 0: new"
    )
    idempotency_key = Text(
        max_length=MAX_KEY,
        pattern=LINE,
        allow_blank=True,
        default="",
        help_text="a further call with the same key adds to the same group; without one, the Idempotency-Key header",
    )
    more = Flag(default=False, help_text="whether further calls add members; otherwise the group is closed")


class SubmitManySerializer(Input):
    jobs = KeyedJobSpecSerializer(many=True, min_length=1, max_length=MAX_BATCH)  # type: ignore[call-arg]
    group = GroupWishSerializer(
        allow_null=True, default=None, help_text="the group that all of the jobs become members of; null means none"
    )


class SubmittedSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField()
    cluster = serializers.CharField()
    position = serializers.IntegerField(help_text="the position in the queue, 1 is next; 0 when the job does not wait")
    last_asked_at = serializers.DateTimeField(allow_null=True, help_text="when the cluster last requested jobs")
    warning = serializers.CharField(help_text="why the job may wait long; empty without a problem")


class ItemErrorSerializer(serializers.Serializer[object]):
    code = serializers.CharField()
    field = serializers.CharField()
    detail = serializers.CharField()


class ItemSerializer(serializers.Serializer[object]):
    """One job of many: its id, or why it was refused."""

    id = serializers.IntegerField(allow_null=True)
    duplicate = serializers.BooleanField(help_text="the job was submitted before, under the same key")
    position = serializers.IntegerField()
    error = ItemErrorSerializer(allow_null=True)


class SubmittedManySerializer(serializers.Serializer[object]):
    results = ItemSerializer(many=True)
    last_asked_at = serializers.DateTimeField(allow_null=True)
    warning = serializers.CharField()
    group = serializers.IntegerField(help_text="the group's id; 0 without one, and where none of the jobs is in it")


class JobPageSerializer(serializers.Serializer[object]):
    next = serializers.URLField(allow_null=True, help_text="the next page; null on the last")
    results = JobBriefSerializer(many=True)


class EventSerializer(serializers.ModelSerializer[JobEvent]):
    attempt = serializers.IntegerField()
    who = serializers.CharField()
    request_id = serializers.CharField(
        allow_null=True, help_text="the X-Request-ID of the call that did it; null where the server did it itself"
    )

    class Meta:
        model = JobEvent
        fields = ("at", "what", "state", "attempt", "who", "why", "request_id")


class CancelManySerializer(Input):
    ids = Numbers(lowest=1, highest=MAX_ID, max_length=MAX_CANCEL)
    reason = Text(max_length=MAX_REASON, pattern=LINE, allow_blank=True, default="")


class PrioritizeSerializer(Input):
    ids = Numbers(lowest=1, highest=MAX_ID, max_length=MAX_CANCEL)
    priority = Number(min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY)
    reason = Text(max_length=MAX_REASON, pattern=LINE, help_text="why, for others to read")


class MoveSerializer(Input):
    ids = Numbers(lowest=1, highest=MAX_ID, max_length=MAX_CANCEL)
    cluster = Text(pattern=CLUSTER_NAME, help_text="the target cluster or pool")
    reason = Text(max_length=MAX_REASON, pattern=LINE, help_text="why, for others to read")


class ChangeResultSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    refusal = serializers.CharField(help_text="why the job was not changed; empty when it was")


class ChangeResultsSerializer(serializers.Serializer[object]):
    results = ChangeResultSerializer(many=True)


class OutcomeSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    outcome = serializers.SerializerMethodField()
    detail = serializers.CharField(source="outcome.value")

    def get_outcome(self, cancellation: Any) -> str:
        return str(cancellation.outcome.code.lower())


class OutcomesSerializer(serializers.Serializer[object]):
    results = OutcomeSerializer(many=True)


class SignalSerializer(Input):
    signal = Choice([(name, name) for name in SIGNALS], help_text="its name, without SIG")


class HeldTokenSerializer(serializers.Serializer[object]):
    """A token whose waiting jobs get no turn, because too many in a row that were submitted with it failed at once."""

    token = serializers.CharField(help_text="the token's label")
    reason = serializers.CharField(help_text="how many jobs failed, and why the last one did")
    held_at = serializers.DateTimeField()


class SummarySerializer(serializers.Serializer[object]):
    """A cluster with its jobs counted by state, and its health in words."""

    name = serializers.CharField()
    registered_at = serializers.DateTimeField()
    last_asked_at = serializers.DateTimeField(allow_null=True)
    not_ready = serializers.CharField(help_text="why its agent takes no jobs now; empty when it does")
    paused_at = serializers.DateTimeField(allow_null=True)
    paused_reason = serializers.CharField()
    paused_by = serializers.CharField()
    jobs = serializers.DictField(child=serializers.IntegerField(), help_text="the number of jobs in each state")
    oldest_submitted_at = serializers.DateTimeField(
        allow_null=True, help_text="when the oldest waiting job was submitted"
    )
    held_back = HeldTokenSerializer(
        many=True, help_text="the tokens whose jobs are held back; for a token only its own"
    )
    warning = serializers.CharField(help_text="what is wrong, in words; empty when nothing is")
    facts = FactsSerializer(
        allow_null=True, help_text="what it says of itself; null in an operator's list, where it would be long"
    )
    facts_at = serializers.DateTimeField(allow_null=True, help_text="when its agent said so last; null if it never did")
