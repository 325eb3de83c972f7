"""Django settings, and the only place of the server that reads the environment.

docs/configuration.md describes every variable.
"""

import os
from pathlib import Path

import environ
from django.core.management.utils import get_random_secret_key

from rainbow_site.databases import configure

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Secrets are read plainly: django-environ takes a value that begins with "$" for another variable's name.
SECRET_KEY = os.environ.get("RAINBOW_SECRET_KEY") or get_random_secret_key()
DEVELOPMENT_SECRET = "chocolate-cookies"
RAINBOW_REGISTRATION_SECRET = os.environ.get("RAINBOW_REGISTRATION_SECRET") or DEVELOPMENT_SECRET

DEBUG = env.bool("RAINBOW_DEBUG", default=False)
ALLOWED_HOSTS = [
    host.strip() for host in env.list("RAINBOW_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
]

RAINBOW_ADDRESS = env.str("RAINBOW_ADDRESS", default="[::]:50051")
RAINBOW_NAME = env.str("RAINBOW_NAME", default="rainbow")
RAINBOW_LOG_LEVEL = env.str("RAINBOW_LOG_LEVEL", default="INFO").upper()
RAINBOW_TLS_CERT = env.str("RAINBOW_TLS_CERT", default="")
RAINBOW_TLS_KEY = env.str("RAINBOW_TLS_KEY", default="")

DATABASES = {
    "default": configure(
        env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'rainbow.db'}"),
        pool_size=env.int("RAINBOW_DATABASE_POOL", default=16),
    )
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "clusters",
    "jobs",
    "grpc_api",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"rainbow": {"handlers": ["stderr"], "level": RAINBOW_LOG_LEVEL}},
}

TEST_RUNNER = "rainbow_site.test_runner.PytestRunner"
