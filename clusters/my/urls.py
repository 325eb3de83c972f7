from django.urls import path

from clusters.my import projects, tokens
from rainbow_site.web.rest import converters  # noqa: F401  (registers the converter)

urlpatterns = [
    path("tokens/", tokens.list_view, name="my-tokens"),
    path("tokens/new/", tokens.new_view, name="new-token-of-mine"),
    path("tokens/<int:token_id>/revoke/", tokens.revoke_view, name="revoke-token-of-mine"),
    path("projects/", projects.list_view, name="my-projects"),
    path("projects/<cluster:name>/", projects.project_view, name="my-project"),
    path("projects/<cluster:name>/members/add/", projects.add_view, name="add-member"),
    path("projects/<cluster:name>/members/remove/", projects.remove_view, name="remove-member"),
    path("projects/<cluster:name>/tokens/new/", projects.new_token_view, name="new-project-token"),
    path(
        "projects/<cluster:name>/tokens/<int:token_id>/revoke/", projects.revoke_token_view, name="revoke-project-token"
    ),
]
