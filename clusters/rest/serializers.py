"""Clusters and credentials as JSON."""

from rest_framework import serializers

from clusters.models import Cluster, Credential, CredentialKind
from clusters.rest.fields import CLUSTER_NAME, LINE, Choice, Input, Number, Text
from clusters.validation import MAX_LABEL, MAX_REASON


class RegisterSerializer(Input):
    name = Text(
        pattern=CLUSTER_NAME,
        help_text="1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit",
    )


class RegisteredSerializer(serializers.Serializer[object]):
    name = serializers.CharField()
    token = serializers.CharField(help_text="lets people submit jobs; shown this once")
    secret = serializers.CharField(help_text="lets the cluster pull its jobs; shown this once")


class ReasonSerializer(Input):
    reason = Text(max_length=MAX_REASON, pattern=LINE, help_text="why, for others to read")


class OptionalReasonSerializer(Input):
    reason = Text(
        max_length=MAX_REASON, pattern=LINE, allow_blank=True, default="", help_text="why, for others to read"
    )


class ClusterSerializer(serializers.ModelSerializer[Cluster]):
    class Meta:
        model = Cluster
        fields = ("name", "registered_at", "last_asked_at", "not_ready", "paused_at", "paused_reason", "paused_by")
        read_only_fields = fields


class CredentialSerializer(serializers.ModelSerializer[Credential]):
    class Meta:
        model = Credential
        fields = (
            "id", "kind", "label", "created_at", "rotated_at", "previous_expires_at",
            "expires_at", "revoked_at", "last_used_at",
        )  # fmt: skip
        read_only_fields = fields


class NewCredentialSerializer(Input):
    kind = Choice(CredentialKind.choices)
    label = Text(
        max_length=MAX_LABEL, pattern=LINE, help_text="tells it from the cluster's other credentials of its kind"
    )  # type: ignore[assignment]  # (a field, not the serializer's own label)
    expires_at = serializers.DateTimeField(allow_null=True, default=None)


class RotateSerializer(Input):
    grace_seconds = Number(
        min_value=0, max_value=604_800, default=300, help_text="how long the old value works beside the new one"
    )


class CredentialValueSerializer(CredentialSerializer):
    value = serializers.CharField(help_text="shown this once")

    class Meta(CredentialSerializer.Meta):
        fields = (*CredentialSerializer.Meta.fields, "value")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]
