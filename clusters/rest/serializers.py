"""Clusters and credentials as JSON."""

from rest_framework import serializers

from clusters.models import Cluster, Credential, CredentialKind
from clusters.rest.fields import Number, Text
from clusters.validation import MAX_LABEL, MAX_REASON


class RegisterSerializer(serializers.Serializer[object]):
    name = Text(help_text="1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit")


class RegisteredSerializer(serializers.Serializer[object]):
    name = serializers.CharField()
    token = serializers.CharField(help_text="lets people submit jobs; shown this once")
    secret = serializers.CharField(help_text="lets the cluster pull its jobs; shown this once")


class ReasonSerializer(serializers.Serializer[object]):
    reason = Text(max_length=MAX_REASON, help_text="why, for others to read")


class OptionalReasonSerializer(serializers.Serializer[object]):
    reason = Text(max_length=MAX_REASON, allow_blank=True, default="", help_text="why, for others to read")


class ClusterSerializer(serializers.ModelSerializer[Cluster]):
    paused = serializers.SerializerMethodField()

    class Meta:
        model = Cluster
        fields = ("name", "registered_at", "last_asked_at", "paused", "paused_at", "paused_reason", "paused_by")

    def get_paused(self, cluster: Cluster) -> bool:
        return cluster.paused_at is not None


class CredentialSerializer(serializers.ModelSerializer[Credential]):
    class Meta:
        model = Credential
        fields = (
            "id", "kind", "label", "created_at", "rotated_at", "previous_expires_at",
            "expires_at", "revoked_at", "last_used_at",
        )  # fmt: skip


class NewCredentialSerializer(serializers.Serializer[object]):
    kind = serializers.ChoiceField(CredentialKind.choices)
    label = Text(max_length=MAX_LABEL, help_text="tells it from the cluster's other credentials of its kind")  # type: ignore[assignment]  # (a field, not the serializer\'s own label)
    expires_at = serializers.DateTimeField(allow_null=True, default=None)


class RotateSerializer(serializers.Serializer[object]):
    grace_seconds = Number(
        min_value=0, max_value=604_800, default=300, help_text="how long the old value works beside the new one"
    )


class CredentialValueSerializer(CredentialSerializer):
    value = serializers.CharField(help_text="shown this once")

    class Meta(CredentialSerializer.Meta):
        fields = (*CredentialSerializer.Meta.fields, "value")  # type: ignore[assignment]
