from django.contrib.auth.views import LogoutView
from django.urls import path

from rainbow_site.console.command_lines import ask_for_code, decide
from rainbow_site.console.people import SignIn, home

urlpatterns = [
    path("", home, name="home"),
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(next_page="sign-in"), name="sign-out"),
    path("login/", ask_for_code, name="command-line"),
    # The address that BeginLogin tells.
    path("login/<str:code>", decide, name="decide-command-line"),
]
