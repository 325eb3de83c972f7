from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import django_filters
from django import forms
from django.core.validators import RegexValidator
from django.http import QueryDict
from django_filters.fields import IsoDateTimeField
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError

from jobs.models import MAX_ID, Job
from jobs.queries.search import MAX_PAGE, Search
from jobs.rest.labels import DESCRIPTION, PATTERN, labels_from
from jobs.specs import MAX_LABELS, MAX_NAME
from jobs.sql.reads import cluster_id_of
from jobs.states import JobState
from rainbow_site.web.rest.converters import ClusterName
from rainbow_site.web.rest.fields import CLUSTER_NAME, LINE, UNKNOWN_PARAMETER, refuse_unknown


class DigitsField(forms.IntegerField):
    """A whole number: Python would also take 1_000 and 1.0."""

    def to_python(self, value: Any) -> int | None:
        if value not in self.empty_values and not (value.isascii() and value.isdecimal()):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class TimeField(IsoDateTimeField):
    def to_python(self, value: Any) -> datetime | None:
        try:
            found = super().to_python(value)
            return found.astimezone(UTC) if found else None
        except OverflowError:
            raise forms.ValidationError("out of range", code="overflow") from None


class TextsField(forms.Field):
    widget = forms.SelectMultiple


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": MAX_ID})
class IdFilter(django_filters.Filter):
    field_class = DigitsField

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, **options)


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": MAX_PAGE})
class SizeFilter(django_filters.Filter):
    field_class = DigitsField

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_PAGE, **options)


class TimeFilter(django_filters.IsoDateTimeFilter):
    field_class = TimeField


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": LINE})
class TextFilter(django_filters.CharFilter):
    pass


@extend_schema_field({"type": "string", "pattern": CLUSTER_NAME})
class ClusterFilter(django_filters.CharFilter):
    def __init__(self, **options: Any) -> None:
        name = RegexValidator(rf"^{ClusterName.regex}\Z", "not a valid cluster name")
        super().__init__(strip=False, validators=[name], **options)


@extend_schema_field({"type": "array", "items": {"type": "string", "pattern": PATTERN}, "maxItems": MAX_LABELS})
class LabelFilter(django_filters.Filter):
    field_class = TextsField


class JobFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=JobState.choices, help_text="any of these states")
    cluster = ClusterFilter(help_text="a cluster's name")
    name = TextFilter(max_length=MAX_NAME, strip=False, help_text="exactly this name")
    label = LabelFilter(help_text=DESCRIPTION)
    group = IdFilter(help_text="members of this group")
    submitted_by = IdFilter(help_text="a credential's id")
    submitted_after = TimeFilter(help_text="at or after this time")
    submitted_before = TimeFilter(help_text="before this time")
    ordering = django_filters.ChoiceFilter(
        choices=[("-id", "newest first"), ("id", "oldest first")], help_text="newest first by default"
    )
    page_size = SizeFilter(help_text="100 by default")
    cursor = IdFilter(help_text="as in `next` of the previous page")

    class Meta:
        model = Job
        fields: list[str] = []


def search_from(query: QueryDict) -> Search:
    """Raises ValidationError and InvalidArgument."""
    fields = _fields()
    refuse_unknown(query, fields, UNKNOWN_PARAMETER)
    # An empty parameter is mostly a script's unset variable; ignoring it would match all jobs.
    if empty := [name for name, values in query.lists() if "" in values]:
        raise ValidationError({name: ["must not be empty"] for name in empty})
    said = {**_nothing_said(), **_cleaned(query, fields)}
    return Search(
        states=[JobState(state) for state in said["state"]],
        labels=labels_from(said["label"] or ()),
        name=said["name"],
        cluster_id=_cluster_id(said["cluster"]),
        group=said["group"] or 0,
        submitted_by=said["submitted_by"],
        submitted_after=said["submitted_after"],
        submitted_before=said["submitted_before"],
        oldest_first=said["ordering"] == "id",
        size=said["page_size"] or 0,
        last=said["cursor"] or 0,
    )


@cache
def _fields() -> dict[str, forms.Field]:
    """The fields of the filters' form. To make the form takes longer than to find the jobs."""
    form: forms.Form = JobFilter(QueryDict(), queryset=Job.objects.none()).form
    return form.fields


@cache
def _nothing_said() -> dict[str, Any]:
    return _cleaned(dict.fromkeys(_fields()), _fields())


def _cleaned(query: Mapping[str, Any], fields: Mapping[str, forms.Field]) -> dict[str, Any]:
    """Raises ValidationError, with all that is wrong."""
    said, wrong = {}, {}
    for name, field in fields.items():
        if name not in query:
            continue
        try:
            said[name] = field.clean(field.widget.value_from_datadict(query, {}, name))
        except forms.ValidationError as error:
            wrong[name] = error.messages
    if wrong:
        raise ValidationError(wrong)
    return said


def _cluster_id(name: str) -> int | None:
    """The id of the cluster, None without a name, and -1, which no cluster has, for an unknown one."""
    if not name:
        return None
    return cluster_id_of(name) or -1
