"""Which jobs a list shows: what stands in the query string, checked and described by django-filter."""

from collections.abc import Mapping
from typing import Any

import django_filters
from django import forms
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from clusters.models import Cluster
from jobs.models import MAX_ID, Job
from jobs.services import Search
from jobs.services.lookup import MAX_PAGE
from jobs.specs import MAX_NAME
from jobs.states import JobState


class JobFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=JobState.choices, help_text="any of these states")
    cluster = django_filters.CharFilter(max_length=63, help_text="a cluster's name")
    name = django_filters.CharFilter(max_length=MAX_NAME, strip=False, help_text="exactly this name")
    label = django_filters.CharFilter(help_text="key=value; all of several", max_length=320, strip=False)
    submitted_by = django_filters.NumberFilter(
        min_value=1, max_value=MAX_ID, decimal_places=0, help_text="a credential's id"
    )
    submitted_after = django_filters.IsoDateTimeFilter(help_text="from this time on")
    submitted_before = django_filters.IsoDateTimeFilter(help_text="before this time")
    ordering = django_filters.ChoiceFilter(
        choices=[("-id", "newest first"), ("id", "oldest first")], help_text="newest first unless said"
    )
    page_size = django_filters.NumberFilter(
        min_value=1, max_value=MAX_PAGE, decimal_places=0, help_text="100 unless said"
    )
    cursor = django_filters.NumberFilter(
        min_value=1, max_value=MAX_ID, decimal_places=0, help_text="from the last page's `next`"
    )

    class Meta:
        model = Job
        fields: list[str] = []


def search_from(query: QueryDict) -> Search:
    """Raises ValidationError."""
    checked = JobFilter(query, queryset=Job.objects.none())
    form: forms.Form = checked.form
    if not form.is_valid():
        raise ValidationError({name: [str(error) for error in errors] for name, errors in form.errors.items()})
    said: dict[str, Any] = form.cleaned_data
    return Search(
        states=[JobState(state) for state in said["state"]],
        labels=_labels(query.getlist("label")),
        name=said["name"],
        cluster_id=_cluster_id(said["cluster"]),
        submitted_by=int(said["submitted_by"]) if said["submitted_by"] else None,
        submitted_after=said["submitted_after"],
        submitted_before=said["submitted_before"],
        oldest_first=said["ordering"] == "id",
        size=int(said["page_size"] or 0),
        last=int(said["cursor"] or 0),
    )


def _labels(pairs: list[str]) -> Mapping[str, str]:
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValidationError({"label": ["must be key=value"]})
        labels[key] = value
    return labels


def _cluster_id(name: str) -> int | None:
    """An unknown cluster has no jobs: an id that none has."""
    if not name:
        return None
    return Cluster.objects.filter(name=name).values_list("id", flat=True).first() or -1
