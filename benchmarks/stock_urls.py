"""Django's stock admin over the same rows, at /stock/, to measure the operators' console against."""

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
