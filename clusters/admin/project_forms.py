"""What operators may change of a project: of each change a form, what follows from it in words, and the service."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms

from clusters.admin.forms import MemberForm, NewTokenForm, ReasonForm
from clusters.models import Role
from clusters.services.projects import (
    Change,
    add_member,
    close_project,
    grant_cluster,
    remove_member,
    reopen_project,
    share_jobs,
    withdraw_cluster,
)

_NAME = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class NewProjectForm(ReasonForm):
    field_order = ["name", "shares_jobs", "reason"]
    name = forms.CharField(max_length=63, widget=forms.TextInput(attrs=_NAME))
    shares_jobs = forms.BooleanField(required=False, label="Its members see each other's jobs")


class PersonForm(ReasonForm):
    field_order = ["person", "reason"]
    person = forms.CharField(max_length=150, widget=forms.TextInput(attrs=_NAME), help_text="their user name")


class MemberOfProjectForm(ReasonForm, MemberForm):
    field_order = ["person", "role", "reason"]


class ClusterForm(ReasonForm):
    field_order = ["cluster", "reason"]
    cluster = forms.CharField(max_length=63, widget=forms.TextInput(attrs=_NAME), label="Cluster or pool")


class ProjectTokenForm(ReasonForm, NewTokenForm):
    field_order = ["label", "days", "reads_only", "clusters", "reason"]


# A change of one project by what a form said.
Deed = Callable[[int, dict[str, Any], Change], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    title: str
    done: str
    consequence: str
    apply: Deed
    form: type[ReasonForm] = ReasonForm


VERBS = {
    "add": Verb(
        title="Add a member",
        done="took in {person}",
        consequence="They may submit to what the project may use. A lead also looks after members and tokens, and sees "
        "and cancels all of its jobs.",
        form=MemberOfProjectForm,
        apply=lambda id, said, change: add_member(
            project_id=id, person=said["person"], role=Role(said["role"]), change=change
        ),
    ),
    "remove": Verb(
        title="Remove a member",
        done="let go {person}",
        consequence="At once they reach nothing through the project. Their jobs that wait are soon cancelled; those "
        "that run go on.",
        form=PersonForm,
        apply=lambda id, said, change: remove_member(project_id=id, person=said["person"], change=change),
    ),
    "grant": Verb(
        title="Grant a cluster or pool",
        done="granted {cluster}",
        consequence="All members, and the project's tokens, may submit to it, within the site's policy.",
        form=ClusterForm,
        apply=lambda id, said, change: grant_cluster(project_id=id, cluster=said["cluster"], change=change),
    ),
    "withdraw": Verb(
        title="Withdraw a cluster or pool",
        done="withdrew {cluster}",
        consequence="At once the project cannot submit to it. Jobs that wait there are soon cancelled; those that "
        "run go on.",
        form=ClusterForm,
        apply=lambda id, said, change: withdraw_cluster(project_id=id, cluster=said["cluster"], change=change),
    ),
    "share": Verb(
        title="Share jobs",
        done="its jobs are seen by its members",
        consequence="All members see what all of its jobs run, earlier ones included.",
        apply=lambda id, said, change: share_jobs(project_id=id, shares=True, change=change),
    ),
    "unshare": Verb(
        title="Keep jobs apart",
        done="its jobs are seen by their owners and leads",
        consequence="Members see their own jobs; leads go on seeing all.",
        apply=lambda id, said, change: share_jobs(project_id=id, shares=False, change=change),
    ),
    "close": Verb(
        title="Close",
        done="closed",
        consequence="At once it grants nothing, and its tokens work no longer. Jobs that wait are soon cancelled. "
        "It can be reopened, which brings none of them back.",
        apply=lambda id, said, change: close_project(project_id=id, change=change),
    ),
    "reopen": Verb(
        title="Reopen",
        done="reopened",
        consequence="Its members and tokens may again use what it is granted.",
        apply=lambda id, said, change: reopen_project(project_id=id, change=change),
    ),
}
