import re
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

CHANGES = (
    "command", "nodes", "tasks", "cores_per_task", "gpus_per_task", "memory_mib_per_node", "time_limit_seconds",
    "environment",
)  # fmt: skip
_MINE = "mine"
# Of an integer on the wire; the service has the narrower bounds of each field.
_HIGHEST, _DIGITS = 2**31 - 1, 9
# With a unit, as on the command line: a number alone may be meant in bytes.
_MEMORY = re.compile(r"(\d{1,9})([MGTmgt])(?:[Ii][Bb])?|(0)", re.ASCII)
_POWERS = {"M": 0, "G": 10, "T": 20}
_SPAN = re.compile(r"(?=\d)(?:(\d{1,4})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?", re.ASCII)
_LENGTHS = (86_400, 3_600, 60, 1)
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


def _small(**attributes: str) -> forms.TextInput:
    return forms.TextInput(attrs={"size": 12, "autocomplete": "off", **attributes})


class _Whole(forms.IntegerField):
    def __init__(self, *, lowest: int = 0, **options: Any) -> None:
        super().__init__(
            required=False, min_value=lowest, max_value=_HIGHEST, widget=_small(inputmode="numeric"), **options
        )


class ResubmitForm(forms.Form):
    """`key` is made with the form, so that sending it twice submits one job.

    What jobs ask for has the names of the fields of a JobSpec; what is left empty stays as it is.
    """

    cluster = forms.ChoiceField(label="To cluster or pool")
    project = forms.ChoiceField()
    key = forms.CharField(max_length=_LONGEST_KEY, widget=forms.HiddenInput)
    command = forms.CharField(
        required=False, strip=False, widget=forms.Textarea(attrs={"rows": 3, "cols": 70, "spellcheck": "false"})
    )
    nodes = _Whole(lowest=1)
    tasks = _Whole(help_text="0 leaves it open")
    cores_per_task = _Whole(help_text="0 leaves it open")
    gpus_per_task = _Whole(label="GPUs per task")
    memory_mib_per_node = forms.CharField(
        required=False, label="Memory of each node", help_text="500M, 64G, 1T; 0 leaves it open", widget=_small()
    )
    time_limit_seconds = forms.CharField(
        required=False, label="Time limit", help_text="seconds, or 10m, 2h, 1h30m, 2d; 0: none", widget=_small()
    )
    environment = forms.CharField(
        required=False,
        help_text="NAME=VALUE, one a line, in place of all that it had",
        widget=forms.Textarea(attrs={"rows": 3, "cols": 70, "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, clusters: list[str], projects: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("cluster", clusters), ("project", projects)):
            self.fields[name].choices = [(one, one) for one in choices]  # type: ignore[attr-defined]  # a choice field's

    @property
    def changes(self) -> dict[str, Any]:
        said = {name: self.cleaned_data[name] for name in CHANGES}
        return {name: value for name, value in said.items() if value not in (None, "", {})}

    def clean_command(self) -> str:
        """Browsers send the ends of lines as CR LF."""
        return str(self.cleaned_data["command"]).replace("\r\n", "\n")

    def clean_memory_mib_per_node(self) -> int | None:
        text = self.cleaned_data["memory_mib_per_node"]
        if not text:
            return None
        if not (found := _MEMORY.fullmatch(text)):
            raise forms.ValidationError("must be as in 500M, 64G or 1T")
        return 0 if found[3] else int(found[1]) << _POWERS[found[2].upper()]

    def clean_time_limit_seconds(self) -> int | None:
        text = self.cleaned_data["time_limit_seconds"]
        if not text:
            return None
        if text.isascii() and text.isdecimal() and len(text) <= _DIGITS:
            return int(text)
        if not (found := _SPAN.fullmatch(text)):
            raise forms.ValidationError("must be as in 90, 10m, 2h or 1h30m")
        return sum(int(number or 0) * length for number, length in zip(found.groups(), _LENGTHS, strict=True))

    def clean_environment(self) -> dict[str, str]:
        lines = [line for line in self.cleaned_data["environment"].splitlines() if line.strip()]
        if any("=" not in line for line in lines):
            raise forms.ValidationError("each line must be NAME=VALUE")
        return dict(line.split("=", 1) for line in lines)


def _where_jobs_go(me: Caller) -> QuerySet[Cluster]:
    """What the person may submit to, and the clusters that take the jobs of pools among it."""
    granted = reach_of(me)
    return Cluster.objects.filter(Q(id__in=granted) | Q(memberships__pool_id__in=granted)).distinct()
