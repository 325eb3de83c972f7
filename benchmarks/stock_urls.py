"""The site beside which the operators' room is measured: Django's admin as it comes, over the same rows, at /stock/."""

from django.contrib import admin
from django.urls import path

from clusters.models import Cluster
from jobs.models import Job
from rainbow_site.urls import urlpatterns as ours

stock = admin.AdminSite(name="stock")
stock.register(Cluster)
stock.register(
    Job,
    list_display=["id", "state", "name", "cluster", "submitted_at"],
    list_filter=["state", "cluster"],
    search_fields=["name", "command"],
)

urlpatterns = [path("stock/", stock.urls), *ours]
