from django.urls import path

from clusters.rest.credentials import Credentials, Revoke, Rotate
from clusters.rest.events import ClusterEvents
from clusters.rest.pausing import Pause, Resume
from clusters.rest.people import Me, RevokeToken, Tokens
from clusters.rest.registration import Register
from rainbow_site.web.rest import converters  # noqa: F401  (registers the converter)

urlpatterns = [
    path("register", Register.as_view()),
    path("me", Me.as_view()),
    path("me/tokens", Tokens.as_view()),
    path("me/tokens/<int:token>/revoke", RevokeToken.as_view()),
    path("clusters/<cluster:cluster>/pause", Pause.as_view()),
    path("clusters/<cluster:cluster>/resume", Resume.as_view()),
    path("clusters/<cluster:cluster>/events", ClusterEvents.as_view()),
    path("clusters/<cluster:cluster>/credentials", Credentials.as_view()),
    path("clusters/<cluster:cluster>/credentials/<int:credential>/rotate", Rotate.as_view()),
    path("clusters/<cluster:cluster>/credentials/<int:credential>/revoke", Revoke.as_view()),
]
