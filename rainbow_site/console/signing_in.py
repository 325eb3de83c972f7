import logging
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.utils import timezone

from clusters.metrics import CREDENTIALS_REFUSED, LOCK_OUTS
from clusters.services.throttle import give_guess_back, sign_in_limits, take_guess
from rainbow.telemetry.lines import Line, Quoted, without_credentials
from rainbow_site.console.password_hashing import TooBusy, check_line
from rainbow_site.web.rest.addresses import address_of

# A key of the request's WSGI environment.
_WAIT = "rainbow.seconds_to_wait"
_LONGEST_ACCOUNT = 64
_log = logging.getLogger("rainbow.http")


class ThrottledBackend(ModelBackend):
    """Checks a password only if its address, and the account from that address, are below their limits.

    Accounts alone are not limited: attackers could lock their owners out.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Raises TooBusy, and PermissionDenied past a limit: then `seconds_to_wait` of the request is set."""
        if request is None or username is None or password is None:
            return super().authenticate(request, username, password, **kwargs)
        check_line()
        now, limits = timezone.now(), sign_in_limits(address_of(request), username)
        if seconds := take_guess(limits, now=now):
            note_wait(request, seconds)
            LOCK_OUTS.labels("sign-in").inc()
            _log.warning(sign_in_line("sign-in throttled", username, request))
            raise PermissionDenied
        try:
            user = super().authenticate(request, username, password, **kwargs)
        except TooBusy:
            give_guess_back(limits)
            raise
        if user is None:
            CREDENTIALS_REFUSED.labels("sign-in").inc()
            _log.warning(sign_in_line("sign-in refused", username, request))
        else:
            give_guess_back(limits)
        return user


class SignInForm(AuthenticationForm):
    """For all people who may sign in."""

    def confirm_login_allowed(self, user: User) -> None:
        assert self.request is not None
        account = user.get_username()
        try:
            super().confirm_login_allowed(user)
        except ValidationError:
            _log.warning(sign_in_line("sign-in refused, not of the staff", account, self.request))
            raise
        _log.info(sign_in_line("signed in", account, self.request))

    def get_invalid_login_error(self) -> ValidationError:
        assert self.request is not None
        if seconds := seconds_to_wait(self.request):
            return ValidationError(too_many_guesses(seconds))
        return super().get_invalid_login_error()


class StaffSignInForm(SignInForm, AdminAuthenticationForm):
    pass


def too_many_guesses(seconds: int) -> str:
    return f"Too many wrong passwords came from your address; even the right one has to wait {seconds} seconds."


def note_wait(request: HttpRequest, seconds: int) -> None:
    request.META[_WAIT] = seconds


def seconds_to_wait(request: HttpRequest) -> int:
    """0 unless the request was past a limit."""
    return int(request.META.get(_WAIT, 0))


def sign_in_line(event: str, account: str, request: HttpRequest, **more: object) -> Line:
    """With the beginning of the account as typed, which may be a credential by mistake."""
    shown = Quoted(without_credentials(account)[:_LONGEST_ACCOUNT])
    return Line(event, account=shown, peer=address_of(request), **more)
