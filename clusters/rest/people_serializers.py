from typing import Any

from rest_framework import serializers

from clusters.services.personal_tokens import DEFAULT_DAYS, MAX_DAYS, MAX_SCOPES
from clusters.validation import MAX_LABEL
from rainbow_site.web.rest.fields import CLUSTER_NAME, LINE, Flag, Input, Number, Text, Texts

_MAX_NAME = 63


class LimitSerializer(serializers.Serializer[Any]):
    """What a person or a project has, and the most that it may have."""

    limit = serializers.ChoiceField(choices=["waiting", "held", "held_nodes", "submissions"])
    has = serializers.IntegerField(help_text="of submissions, those that count against the limit of a minute")
    most = serializers.IntegerField(allow_null=True, help_text="null: no limit")


class MyProjectSerializer(serializers.Serializer[Any]):
    """A project of the caller's."""

    name = serializers.CharField()
    leads = serializers.BooleanField(help_text="whether the caller looks after its members and tokens")
    shares = serializers.BooleanField(help_text="whether its members see each other's jobs")
    clusters = serializers.ListField(child=serializers.CharField(), help_text="what it may use, pools among it")
    limits = LimitSerializer(many=True)


class MeSerializer(serializers.Serializer[Any]):
    person = serializers.CharField(help_text="the user name")
    limits = LimitSerializer(many=True)
    projects = MyProjectSerializer(many=True)


class TokenSerializer(serializers.Serializer[Any]):
    """A token of a person or a project, without its value."""

    id = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # (a field, not the serializer's own label)
    project = serializers.CharField(help_text="what it is narrowed to, or whose it is; empty if none")
    clusters = serializers.ListField(child=serializers.CharField(), help_text="what it is narrowed to; empty: nothing")
    reads_only = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)


class TokenValueSerializer(TokenSerializer):
    value = serializers.CharField(help_text="only in this answer")


class NewTokenSerializer(Input):
    label = Text(max_length=MAX_LABEL, pattern=LINE, help_text="unique among the caller's tokens")  # type: ignore[assignment]  # (a field, not the serializer's own label)
    days = Number(min_value=1, max_value=MAX_DAYS, default=DEFAULT_DAYS, help_text="how long it works")
    project = Text(max_length=_MAX_NAME, pattern=LINE, allow_blank=True, default="", help_text="what it is narrowed to")
    clusters = Texts(
        child=Text(pattern=CLUSTER_NAME), max_length=MAX_SCOPES, default=list, help_text="what it is narrowed to"
    )
    reads_only = Flag(default=False, help_text="whether it may only read")
    for_project = Flag(default=False, help_text="whether it belongs to the project, for a service; needs a lead of it")
