"""What a person's jobs used, and those of projects whose jobs they see."""

from datetime import timedelta

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from clusters.my.page import for_people, me, page
from jobs.queries.usage import Asked, By, UsageRow, usage
from jobs.usage import day_of
from rainbow.errors import InvalidArgument

_SPANS = [(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "365 days")]
_DEFAULT = {"days": "30", "by": [By.PROJECT, By.PERSON, By.CLUSTER]}
# Rows on the page; the others are in the CSV.
_MOST = 1_000
_NAMES = [By.PROJECT, By.PERSON, By.CLUSTER, By.DAY]


class UsageForm(forms.Form):
    days = forms.TypedChoiceField(choices=_SPANS, coerce=int, label="The last")
    by = forms.MultipleChoiceField(
        choices=[(one.value, one.value) for one in _NAMES], widget=forms.CheckboxSelectMultiple, label="Told apart by"
    )

    @property
    def asked(self) -> Asked:
        until = day_of(timezone.now())
        days = timedelta(days=self.cleaned_data["days"] - 1)
        return Asked(since=until - days, until=until, by=[By(one) for one in self.cleaned_data["by"]])


@for_people()
def usage_view(request: HttpRequest) -> HttpResponse:
    form = UsageForm(request.GET or _DEFAULT, label_suffix="")
    by, rows, csv = list[By](), list[UsageRow](), ""
    if form.is_valid():
        asked = form.asked
        by, csv = [one for one in _NAMES if one in asked.by], _csv(asked)
        try:
            rows = usage(asked, seen_as=me(request))
        except InvalidArgument as error:
            form.add_error(None, error.message)
    shown = [([getattr(row, one) or "" for one in by], row.jobs, row.node_seconds / 3_600) for row in rows[:_MOST]]
    total = sum(row.jobs for row in rows), sum(row.node_seconds for row in rows) / 3_600
    more = max(0, len(rows) - _MOST)
    return page(request, "usage", "My usage", form=form, by=by, rows=shown, more=more, total=total, csv=csv)


def _csv(asked: Asked) -> str:
    days = {"since": asked.since.isoformat(), "until": asked.until.isoformat()}
    said = {**days, "by": ",".join(asked.by), "format": "csv"}
    return f"{reverse('my-usage-data')}?{urlencode(said)}"
