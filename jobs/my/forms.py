from dataclasses import replace
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Q, QuerySet

from clusters.callers import Caller
from clusters.models import Cluster
from jobs.admin.forms import ClusterChoice, JobSearchForm
from jobs.queries.clusters import reach_of
from jobs.queries.search import Search

_MINE = "mine"
_LONGEST_KEY = 64


class MySearchForm(JobSearchForm):
    """Its clusters and projects are those that the person may use."""

    field_order = ["state", "whose", "project", "cluster", "group", "since", "label", "text"]
    whose = forms.ChoiceField(required=False, choices=[("", "all that I see"), (_MINE, "my own")])
    project = forms.TypedChoiceField(required=False, coerce=int, empty_value=None)

    def __init__(self, *args: Any, me: Caller, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._me = me
        projects = [(one.id, one.name) for one in me.projects]
        self.fields["project"].choices = [("", "any"), *projects]  # type: ignore[attr-defined]  # a choice field's
        self.fields["cluster"] = ClusterChoice(_where_jobs_go(me), required=False, empty_label="any")

    def search(self, *, now: datetime, last: int = 0) -> Search:
        said = self.cleaned_data
        return replace(
            self.said_search(now=now, last=last),
            in_commands=True,
            owner_id=self._me.person_id if said["whose"] == _MINE else None,
            project_id=said["project"],
        )


class ResubmitForm(forms.Form):
    """`key` is made with the form, so that sending it twice submits one job."""

    cluster = forms.ChoiceField(label="To cluster or pool")
    project = forms.ChoiceField()
    key = forms.CharField(max_length=_LONGEST_KEY, widget=forms.HiddenInput)

    def __init__(self, *args: Any, clusters: list[str], projects: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("cluster", clusters), ("project", projects)):
            self.fields[name].choices = [(one, one) for one in choices]  # type: ignore[attr-defined]  # a choice field's


def _where_jobs_go(me: Caller) -> QuerySet[Cluster]:
    """What the person may submit to, and the clusters that take the jobs of pools among it."""
    granted = reach_of(me)
    return Cluster.objects.filter(Q(id__in=granted) | Q(memberships__pool_id__in=granted)).distinct()
