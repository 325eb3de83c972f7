"""Checks what the provider answers, and finds or makes the person's account."""

from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from rainbow_site.oidc.accounts import person_of, take_standing
from rainbow_site.oidc.answers import ProviderFailed, ask
from rainbow_site.oidc.claims import name_in, standing_of
from rainbow_site.oidc.provider import provider

# Clocks of providers and ours differ.
_LEEWAY_SECONDS = 30
_LONGEST_SUBJECT = 255
_REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


class SignInRefused(Exception):
    """The provider knows the person, who may not sign in here; the text is for them."""


class ProviderBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # (without types)
    def __init__(self) -> None:
        """Without the library's, which reads all endpoints: backends are made for each request."""
        self.OIDC_RP_CLIENT_ID = settings.RAINBOW_OIDC_CLIENT_ID
        self.OIDC_RP_CLIENT_SECRET = settings.RAINBOW_OIDC_CLIENT_SECRET
        self.OIDC_RP_SIGN_ALGO = settings.RAINBOW_OIDC_ALGORITHM
        self.OIDC_RP_IDP_SIGN_KEY = None
        self.UserModel = User

    @property
    def OIDC_OP_TOKEN_ENDPOINT(self) -> str:
        return provider().token_endpoint

    @property
    def OIDC_OP_USER_ENDPOINT(self) -> str:
        return provider().userinfo_endpoint

    @property
    def OIDC_OP_JWKS_ENDPOINT(self) -> str:
        return provider().jwks_uri

    def authenticate(self, request: HttpRequest | None, **kwargs: Any) -> User | None:
        """Raises SignInRefused, and what the library raises for answers that are wrong.

        The library would also take a code of a request that began no sign-in.
        """
        if request is None or not (kwargs.get("nonce") and kwargs.get("code_verifier")):
            return None
        found: User | None = super().authenticate(request, **kwargs)
        return found

    def get_user(self, user_id: int) -> User | None:
        """Django's: the library's would keep the sessions of disabled people open."""
        found = ModelBackend.get_user(self, user_id)
        return found if isinstance(found, User) else None

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> User:
        said = self.get_userinfo(access_token, id_token, payload)
        issuer, subject = payload["iss"], payload["sub"]
        if said.get("sub") != subject:
            # OpenID Connect Core 1.0, section 5.3.2.
            raise ProviderFailed("the user info is of another subject than the ID token")
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
            raise ProviderFailed("the subject is no text of 1 to 255 characters")
        claims = {**payload, **said}
        standing = standing_of(claims)
        if standing is None:
            take_standing(issuer=issuer, subject=subject)
            raise SignInRefused("None of your groups at the provider may use this service.")
        person, _ = person_of(issuer=issuer, subject=subject, wished_name=name_in(claims), standing=standing)
        if not person.is_active:
            raise SignInRefused("Your account is disabled.")
        return person

    # The library's would take answers of any length, and follow redirects with the client's secret.
    def get_token(self, payload: dict[str, Any]) -> Any:
        return ask("POST", self.OIDC_OP_TOKEN_ENDPOINT, data=payload).json()

    def get_userinfo(self, access_token: str, id_token: str, payload: dict[str, Any]) -> Any:
        answer = ask("GET", self.OIDC_OP_USER_ENDPOINT, headers={"Authorization": f"Bearer {access_token}"})
        signed = answer.kind.startswith("application/jwt")
        return self.verify_token(answer.content.decode()) if signed else answer.json()

    def retrieve_matching_jwk(self, token: str) -> jwt.PyJWK:
        header = jwt.get_unverified_header(token)
        keys = ask("GET", self.OIDC_OP_JWKS_ENDPOINT).json()["keys"]
        for key in keys:
            if key.get("kid") == header.get("kid") and key.get("alg", header["alg"]) == header["alg"]:
                return jwt.PyJWK(key)
        raise ProviderFailed("it has no key of the ID token's name")

    def _verify_jws(self, token: str, key: Any) -> dict[str, Any]:
        """The library's checks neither issuer nor audience (OpenID Connect Core 1.0, section 3.1.3.7)."""
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[self.OIDC_RP_SIGN_ALGO],
            audience=self.OIDC_RP_CLIENT_ID,
            issuer=settings.RAINBOW_OIDC_ISSUER,
            leeway=_LEEWAY_SECONDS,
            options={"require": _REQUIRED},
        )
        if claims.get("azp", self.OIDC_RP_CLIENT_ID) != self.OIDC_RP_CLIENT_ID:
            raise ProviderFailed("the ID token is for another client")
        return claims
