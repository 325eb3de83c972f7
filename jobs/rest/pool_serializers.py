from rest_framework import serializers

from clusters.models import MAX_AFTER_SECONDS, MAX_MEMBERS, PoolMember
from jobs.rest.serializers import SummarySerializer
from rainbow_site.web.rest.fields import CLUSTER_NAME, Input, Number, Text
from rainbow_site.web.rest.reasons import OptionalReasonSerializer


class MemberSerializer(Input):
    cluster = Text(pattern=CLUSTER_NAME, help_text="the name of a cluster")
    after_seconds = Number(
        min_value=0,
        max_value=MAX_AFTER_SECONDS,
        default=0,
        help_text="how long a job must have waited before this cluster may take it",
    )


class ChangePoolSerializer(OptionalReasonSerializer):
    members = MemberSerializer(  # type: ignore[call-arg]  # of many
        many=True,
        min_length=1,
        max_length=MAX_MEMBERS,
        help_text="in the order in which they are listed, each cluster once",
    )


class NewPoolSerializer(ChangePoolSerializer):
    name = Text(pattern=CLUSTER_NAME, help_text="that no cluster and no other pool has")


class PoolMemberSerializer(serializers.ModelSerializer[PoolMember]):
    cluster = serializers.CharField(source="cluster.name")
    last_asked_at = serializers.DateTimeField(source="cluster.last_asked_at", allow_null=True)
    paused_at = serializers.DateTimeField(source="cluster.paused_at", allow_null=True)
    not_ready = serializers.CharField(source="cluster.not_ready", help_text="why its agent takes no jobs now")

    class Meta:
        model = PoolMember
        fields = ("cluster", "after_seconds", "last_asked_at", "paused_at", "not_ready")
        read_only_fields = fields


class PoolSerializer(SummarySerializer):
    """A pool with its clusters. Jobs count in the pool while they wait, then in the cluster that took them."""

    members = PoolMemberSerializer(many=True, help_text="in their order")


class PoolWithTokenSerializer(PoolSerializer):
    token = serializers.CharField(help_text="authorizes submitting jobs to the pool; only in this answer")
