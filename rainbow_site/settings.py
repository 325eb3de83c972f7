"""Django settings, and the only place of the server that reads the environment.

docs/configuration.md describes every variable.
"""

import logging
import os
from pathlib import Path
from urllib.parse import quote

from django.core.management.utils import get_random_secret_key

from rainbow.telemetry.lines import FORMATS
from rainbow_site.databases import configure
from rainbow_site.environment import Environment, WrongSetting

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)
# Silences gRPC's core, which reads this when it is loaded: our log says the same better.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

RAINBOW_SECRET_KEY = env.secret("RAINBOW_SECRET_KEY")
SECRET_KEY = RAINBOW_SECRET_KEY or get_random_secret_key()
DEVELOPMENT_SECRET = "chocolate-cookies"
RAINBOW_REGISTRATION_SECRET = env.secret("RAINBOW_REGISTRATION_SECRET", DEVELOPMENT_SECRET)

DEBUG = env.switch("RAINBOW_DEBUG")
ALLOWED_HOSTS = env.words("RAINBOW_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")

# Its default depends on the registration secret (rainbow_site/process/reach.py).
RAINBOW_ADDRESS = env.text("RAINBOW_ADDRESS")
RAINBOW_WEB_ADDRESS = env.text("RAINBOW_WEB_ADDRESS", "127.0.0.1:8000")
RAINBOW_WEB_WORKERS = env.number("RAINBOW_WEB_WORKERS", 2, lowest=1, highest=1_000)
RAINBOW_PROXIES = env.number("RAINBOW_PROXIES", 0, lowest=0, highest=100)
RAINBOW_GRPC_PROXIES = env.number("RAINBOW_GRPC_PROXIES", 0, lowest=0, highest=100)
RAINBOW_URL = env.address("RAINBOW_URL").rstrip("/")
RAINBOW_NAME = env.text("RAINBOW_NAME", "rainbow")
RAINBOW_LOG_FORMAT = env.choice("RAINBOW_LOG_FORMAT", "TEXT", among=["TEXT", "JSON"])
RAINBOW_TRACES = env.switch("RAINBOW_TRACES")
RAINBOW_MEMORY_GRAPH = env.switch("RAINBOW_MEMORY_GRAPH")
RAINBOW_LOG_LEVEL = env.choice("RAINBOW_LOG_LEVEL", "INFO", among=["DEBUG", "INFO", "WARNING", "ERROR"])
RAINBOW_TRANSPORT = env.choice("RAINBOW_TRANSPORT", "GRPCIO", among=["GRPCIO", "H2CORN"]).lower()
MAX_WORKERS = 64
MAX_LIMIT = 100_000_000
RAINBOW_WORKERS = env.number("RAINBOW_WORKERS", 1, lowest=1, highest=MAX_WORKERS)
RAINBOW_BATCH = env.number("RAINBOW_BATCH", 256, lowest=1, highest=10_000)
RAINBOW_CALLS = env.number("RAINBOW_CALLS", 10_000, lowest=1, highest=1_000_000)
RAINBOW_GUESSES = env.number("RAINBOW_GUESSES", 30, lowest=1, highest=1_000_000)
# The most that each person and each project may have, unless an operator gave them limits of their own; 0 is no limit.
RAINBOW_PERSON_WAITING = env.number("RAINBOW_PERSON_WAITING", 0, lowest=0, highest=MAX_LIMIT)
RAINBOW_PERSON_SUBMISSIONS = env.number("RAINBOW_PERSON_SUBMISSIONS", 0, lowest=0, highest=MAX_LIMIT)
RAINBOW_PERSON_HELD = env.number("RAINBOW_PERSON_HELD", 0, lowest=0, highest=MAX_LIMIT)
RAINBOW_PERSON_HELD_NODES = env.number("RAINBOW_PERSON_HELD_NODES", 0, lowest=0, highest=MAX_LIMIT)
RAINBOW_PROJECT_WAITING = env.number("RAINBOW_PROJECT_WAITING", 0, lowest=0, highest=MAX_LIMIT)
RAINBOW_PROJECT_SUBMISSIONS = env.number("RAINBOW_PROJECT_SUBMISSIONS", 0, lowest=0, highest=MAX_LIMIT)
RAINBOW_PROJECT_HELD = env.number("RAINBOW_PROJECT_HELD", 0, lowest=0, highest=MAX_LIMIT)
RAINBOW_PROJECT_HELD_NODES = env.number("RAINBOW_PROJECT_HELD_NODES", 0, lowest=0, highest=MAX_LIMIT)
MAX_RETENTION_DAYS = 36_500
# Of the files that jobs are submitted with: for each project, and for each cluster's own tokens.
RAINBOW_INPUTS_MIB = env.number("RAINBOW_INPUTS_MIB", 256, lowest=0, highest=1_048_576)
RAINBOW_RETENTION_DAYS = env.number("RAINBOW_RETENTION_DAYS", 90, lowest=0, highest=MAX_RETENTION_DAYS)
# Whether webhooks may be sent without TLS, and to addresses of this machine and of private networks.
RAINBOW_WEBHOOK_HTTP = env.switch("RAINBOW_WEBHOOK_HTTP")
RAINBOW_WEBHOOK_PRIVATE = env.switch("RAINBOW_WEBHOOK_PRIVATE")
RAINBOW_CLEANUP = env.switch("RAINBOW_CLEANUP")
RAINBOW_METRICS_ADDRESS = env.text("RAINBOW_METRICS_ADDRESS")
RAINBOW_METRICS_TOKEN_FILE = env.text("RAINBOW_METRICS_TOKEN_FILE")
RAINBOW_TLS_CERT = env.text("RAINBOW_TLS_CERT")
RAINBOW_TLS_KEY = env.text("RAINBOW_TLS_KEY")
RAINBOW_TLS_CLIENT_CA = env.text("RAINBOW_TLS_CLIENT_CA")
RAINBOW_TLS_CLIENT_ADDRESS = env.text("RAINBOW_TLS_CLIENT_ADDRESS")
if RAINBOW_TLS_CLIENT_CA and not (RAINBOW_TLS_CERT or RAINBOW_TLS_KEY):
    raise WrongSetting("RAINBOW_TLS_CLIENT_CA: needs RAINBOW_TLS_CERT and RAINBOW_TLS_KEY")
if RAINBOW_TLS_CLIENT_ADDRESS and not RAINBOW_TLS_CLIENT_CA:
    raise WrongSetting("RAINBOW_TLS_CLIENT_ADDRESS: needs RAINBOW_TLS_CLIENT_CA, the authorities of the clients there")
# A proxy terminates TLS itself.
RAINBOW_WEB_TLS = bool(RAINBOW_TLS_CERT or RAINBOW_TLS_KEY) and not RAINBOW_PROXIES
# Without a port of their own for clients with certificates, each agent needs one.
RAINBOW_WEB_CLIENT_CERTIFICATES = bool(RAINBOW_WEB_TLS and RAINBOW_TLS_CLIENT_CA and not RAINBOW_TLS_CLIENT_ADDRESS)
RAINBOW_HTTPS = env.switch("RAINBOW_HTTPS", default=RAINBOW_WEB_TLS or RAINBOW_PROXIES > 0)
if RAINBOW_HTTPS and not (RAINBOW_WEB_TLS or RAINBOW_PROXIES):
    raise WrongSetting("RAINBOW_HTTPS: needs RAINBOW_TLS_CERT and RAINBOW_TLS_KEY, or RAINBOW_PROXIES")
RAINBOW_HSTS_SECONDS = env.number("RAINBOW_HSTS_SECONDS", 31_536_000, lowest=0, highest=99_999_999)

RAINBOW_SESSION_SECONDS = env.number("RAINBOW_SESSION_SECONDS", 1_209_600, lowest=60, highest=99_999_999)

RAINBOW_OIDC_ISSUER = env.address("RAINBOW_OIDC_ISSUER")
RAINBOW_OIDC_CLIENT_ID = env.text("RAINBOW_OIDC_CLIENT_ID")
RAINBOW_OIDC_CLIENT_SECRET = env.secret("RAINBOW_OIDC_CLIENT_SECRET")
RAINBOW_OIDC_OPERATORS = env.words("RAINBOW_OIDC_OPERATORS", "")
RAINBOW_OIDC_VIEWERS = env.words("RAINBOW_OIDC_VIEWERS", "")
RAINBOW_OIDC_MEMBERS = env.words("RAINBOW_OIDC_MEMBERS", "")
RAINBOW_OIDC_SCOPES = env.text("RAINBOW_OIDC_SCOPES", "openid profile groups")
RAINBOW_OIDC_GROUPS_CLAIM = env.text("RAINBOW_OIDC_GROUPS_CLAIM", "groups")
RAINBOW_OIDC_NAME_CLAIM = env.text("RAINBOW_OIDC_NAME_CLAIM", "preferred_username")
RAINBOW_OIDC_LABEL = env.text("RAINBOW_OIDC_LABEL", "single sign-on")
RAINBOW_OIDC_ALGORITHM = env.choice(
    "RAINBOW_OIDC_ALGORITHM", "RS256", among=["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
)
RAINBOW_OIDC_RENEW_SECONDS = env.number("RAINBOW_OIDC_RENEW_SECONDS", 900, lowest=1, highest=86_400)
if RAINBOW_OIDC_ISSUER and not (RAINBOW_OIDC_CLIENT_ID and RAINBOW_OIDC_CLIENT_SECRET):
    raise WrongSetting("RAINBOW_OIDC_ISSUER: needs RAINBOW_OIDC_CLIENT_ID and RAINBOW_OIDC_CLIENT_SECRET")
if RAINBOW_OIDC_ISSUER and not (RAINBOW_OIDC_OPERATORS or RAINBOW_OIDC_VIEWERS or RAINBOW_OIDC_MEMBERS):
    raise WrongSetting(
        "RAINBOW_OIDC_ISSUER: needs groups that may sign in,"
        " in RAINBOW_OIDC_OPERATORS, RAINBOW_OIDC_VIEWERS or RAINBOW_OIDC_MEMBERS"
    )

RAINBOW_DATABASE_POOL = env.number("RAINBOW_DATABASE_POOL", 16, lowest=2, highest=1_000)
DATABASES = {
    "default": configure(
        env.text("DATABASE_URL", f"sqlite:///{quote(str(BASE_DIR / 'rainbow.db'))}"), pool_size=RAINBOW_DATABASE_POOL
    )
}

INSTALLED_APPS = [
    "rainbow_site.console.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "clusters",
    "jobs",
    "grpc_api",
    "rainbow_site",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "rainbow_site.web.content_security_policy.send_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "rainbow_site.web.access_log.log_requests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "rainbow_site.console.busy.AnswerTooBusy",
    *(["rainbow_site.oidc.renewal.renew"] if RAINBOW_OIDC_ISSUER else []),
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "rainbow_site.urls"
WSGI_APPLICATION = "rainbow_site.wsgi.application"
AUTHENTICATION_BACKENDS = [
    "rainbow_site.console.signing_in.ThrottledBackend",
    *(["rainbow_site.oidc.backend.ProviderBackend"] if RAINBOW_OIDC_ISSUER else []),
]
# Of mozilla-django-oidc. The endpoints are those that the provider tells (rainbow_site/oidc/provider.py).
OIDC_RP_SCOPES = RAINBOW_OIDC_SCOPES
OIDC_USE_PKCE = OIDC_STORE_ID_TOKEN = True
OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = RAINBOW_OIDC_RENEW_SECONDS
OIDC_TIMEOUT = 10
PASSWORD_HASHERS = ["rainbow_site.console.password_hashing.OneByOneHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
# Static files are served from where their packages keep them, so that nothing has to be collected first.
WHITENOISE_USE_FINDERS = True
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "home"
SESSION_COOKIE_AGE = RAINBOW_SESSION_SECONDS
MESSAGE_STORAGE = "rainbow_site.console.notices.VisibleStorage"
# Only our own proxies are trusted with this header.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if RAINBOW_PROXIES else None
SECURE_SSL_REDIRECT = RAINBOW_HTTPS
# Probes bypass the proxy.
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$"]
SECURE_HSTS_SECONDS = RAINBOW_HSTS_SECONDS if RAINBOW_HTTPS else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = RAINBOW_HTTPS
# Pages have the CSRF token in their forms; no script reads the cookie.
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# HSTS for other hosts (includeSubDomains, preload) is not this server's decision.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rainbow_site.web.rest.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    # Each view checks its callers itself (rainbow_site/web/rest/admission.py).
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_PARSER_CLASSES": ["rainbow_site.web.rest.parsers.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "rainbow_site.web.rest.written.WrittenJSON",
        "rainbow_site.web.rest.pages.BrowsableAPI",
    ],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "rainbow_site.web.problems.answer_failure",
    "NUM_PROXIES": RAINBOW_PROXIES,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "rainbow",
    "DESCRIPTION": "Submit jobs to clusters from anywhere, and hand them over.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    # Each operation names its security schemes itself.
    "AUTHENTICATION_WHITELIST": [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "rainbow_site.web.schema_hooks.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "CredentialKind": "clusters.models.CredentialKind",
        "JobState": "jobs.states.JobState",
        "OnLost": "jobs.states.OnLost",
    },
}

# Logging looks up no caller's file and line, which no format prints, and which takes a third of its time
# (https://docs.python.org/3/howto/logging.html#optimization).
logging._srcfile = None
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": FORMATS[RAINBOW_LOG_FORMAT.lower()]}},
    "filters": {"one_line": {"()": "rainbow_site.web.one_line_log.OneLine"}},
    "handlers": {
        "stderr": {"class": "rainbow_site.process.log_writer.LineWriter", "formatter": "lines"},
        "one line": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["one_line"]},
    },
    # Also libraries' own, such as why PostgreSQL cannot be reached.
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "rainbow": {"level": RAINBOW_LOG_LEVEL},
        # A stranger's path that is not UTF-8 would be a traceback each time.
        "grpc": {"propagate": False},
        # Errors in pages, which Django would otherwise mail to ADMINS.
        "django": {"handlers": [], "level": "ERROR"},
        # Requests that are refused as suspicious, such as for a host that is not ours.
        "django.security": {"handlers": ["one line"], "level": "ERROR", "propagate": False},
    },
}

TEST_RUNNER = "rainbow_site.test_runner.PytestRunner"


def environment_with(**settings: str) -> dict[str, str]:
    """This process's environment with some settings, for a child."""
    return {**os.environ, **settings}
