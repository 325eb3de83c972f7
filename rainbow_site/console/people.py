"""Where people sign in who need not be operators, and where each is led then."""

from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache

from rainbow_site.console.sessions import end_at_length
from rainbow_site.console.signing_in import SignInForm, seconds_to_wait


@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """The console of staff, and of other people their own pages."""
    if not request.user.is_authenticated:
        return redirect("sign-in")
    return redirect("admin:index" if request.user.is_staff else "my-jobs")


class SignIn(LoginView):
    form_class = SignInForm
    template_name = "sign_in/people.html"
    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        """Not this page itself, at which Django would fail."""
        then = super().get_success_url()
        return self.get_default_redirect_url() if then == self.request.path else then

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        # The provider's sign-in would otherwise end in the console.
        then = self.get_success_url()
        return {**admin.site.each_context(self.request), **context, "next": then, "title": "Sign in"}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        end_at_length(self.request.session)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        if seconds := seconds_to_wait(self.request):
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response["Retry-After"] = str(seconds)
        return response
