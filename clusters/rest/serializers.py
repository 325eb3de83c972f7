from rest_framework import serializers

from clusters.models import OF_CLUSTERS, Cluster, ClusterEvent, Credential
from clusters.validation import MAX_LABEL
from rainbow_site.web.rest.fields import CLUSTER_NAME, LINE, Choice, Input, Number, Text
from rainbow_site.web.rest.reasons import OptionalReasonSerializer


class RegisterSerializer(Input):
    name = Text(
        pattern=CLUSTER_NAME,
        help_text="1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit",
    )


class RegisteredSerializer(serializers.Serializer[object]):
    name = serializers.CharField()
    token = serializers.CharField(help_text="authorizes submitting jobs; only in this answer")
    secret = serializers.CharField(help_text="authorizes pulling the cluster's jobs; only in this answer")


class ActedOnSerializer(serializers.ModelSerializer[Credential]):
    class Meta:
        model = Credential
        fields = ("id", "kind", "label")
        read_only_fields = fields


class ClusterEventSerializer(serializers.ModelSerializer[ClusterEvent]):
    credential = ActedOnSerializer(
        source="about", allow_null=True, help_text="the credential that was changed; null for changes to the cluster"
    )
    who = serializers.CharField(help_text="an operator's name, or the credential that was used")
    issued_by = serializers.CharField(
        source="issued_by.username",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="the operator who knew the value of the credential that was used",
    )

    class Meta:
        model = ClusterEvent
        fields = ("id", "at", "what", "credential", "who", "issued_by", "why")
        read_only_fields = fields


class ClusterEventPageSerializer(serializers.Serializer[object]):
    next = serializers.URLField(allow_null=True, help_text="the next page; null on the last")
    results = ClusterEventSerializer(many=True)


class ClusterSerializer(serializers.ModelSerializer[Cluster]):
    class Meta:
        model = Cluster
        fields = ("name", "registered_at", "last_asked_at", "not_ready", "paused_at", "paused_reason", "paused_by")
        read_only_fields = fields


class CredentialSerializer(serializers.ModelSerializer[Credential]):
    issued_by = serializers.CharField(
        source="issued_by.username",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="the operator who was shown the value, or who issued the credential that created it",
    )

    class Meta:
        model = Credential
        fields = (
            "id", "kind", "label", "created_at", "rotated_at", "previous_expires_at",
            "expires_at", "revoked_at", "last_used_at", "issued_by",
        )  # fmt: skip
        read_only_fields = fields


class NewCredentialSerializer(OptionalReasonSerializer):
    kind = Choice([(kind.value, kind.label) for kind in OF_CLUSTERS])
    label = Text(max_length=MAX_LABEL, pattern=LINE, help_text="unique among the cluster's credentials of its kind")  # type: ignore[assignment]  # (a field, not the serializer's own label)
    expires_at = serializers.DateTimeField(allow_null=True, default=None)


class RotateSerializer(OptionalReasonSerializer):
    grace_seconds = Number(
        min_value=0, max_value=604_800, default=300, help_text="how long the old value keeps working"
    )


class CredentialValueSerializer(CredentialSerializer):
    value = serializers.CharField(help_text="only in this answer")

    class Meta(CredentialSerializer.Meta):
        fields = (*CredentialSerializer.Meta.fields, "value")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]
