"""Settings of Parley, from the environment (ARCHITECTURE.md section 8).

`config.stores` (database, Redis), `config.job_settings` (Celery, when each job runs) and
`config.limits` (every number) are parts of them.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.constance.settings import UNFOLD_CONSTANCE_ADDITIONAL_FIELDS

from common.changeable import Changeable
from common.security_headers import PAGES
from config import env
from config.admin_site import UNFOLD  # noqa: F401 read by name
from config.job_settings import *
from config.limits import *
from config.limits import PAGE_SIZE
from config.secret_files import development_secrets
from config.stores import *
from config.stores import DATA_DIR

django_stubs_ext.monkeypatch()

BASE_DIR: Path = env.BASE_DIR
VERSION = "0.1.0"

# What this deployment is
PRODUCTION = env.switch("PRODUCTION", default=False)
DEBUG = env.switch("DEBUG", default=False)
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, low=1, high=65_535)
_own_name = "localhost" if HOST in {"0.0.0.0", "::", "127.0.0.1", "::1"} else HOST  # noqa: S104
PUBLIC_URL_GIVEN = bool(env.raw("PUBLIC_URL"))
PUBLIC_URL = env.web_address("PUBLIC_URL", f"http://{_own_name}:{PORT}")
HTTPS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS",
    tuple(
        dict.fromkeys(
            ["localhost", "127.0.0.1", "[::1]", _own_name, urlsplit(PUBLIC_URL).hostname or ""]
        )
    ),
)
CORS_ORIGINS = env.words("CORS_ORIGINS")
TRUSTED_PROXIES = env.words("TRUSTED_PROXIES")
SITE_NAME = env.text("SITE_NAME", "Parley")
SINGLE_USER = env.switch("SINGLE_USER", default=False)
REGISTRATION_OPEN = env.switch("REGISTRATION_OPEN", default=True)
ADMIN_USERNAME = env.text("ADMIN_USERNAME")
ADMIN_EMAIL = env.text("ADMIN_EMAIL")
ADMIN_PASSWORD = env.text("ADMIN_PASSWORD")
METRICS_TOKEN = env.text("METRICS_TOKEN")

# Secrets. In development they are made once; in production their absence is a system check.
_secrets = {name: env.raw(name) for name in ("SECRET_KEY", "SIGNING_KEYS", "ENCRYPTION_KEYS")}
if not PRODUCTION and not all(_secrets.values()):
    try:
        _secrets = {
            name: _secrets[name] or made for name, made in development_secrets(DATA_DIR).items()
        }
    except (OSError, ValueError, KeyError):
        env.note(
            "DATA_DIR",
            _("%(folder)s cannot hold the secrets"),
            _("Name a folder of your own."),
            folder=DATA_DIR,
        )
MISSING_SECRETS = [name for name, value in _secrets.items() if not value]
# A key nobody knows stands in for a missing one until the check has stopped the start.
_keys = {
    name: [key.strip() for key in (value or secrets.token_urlsafe(48)).split(",")]
    for name, value in _secrets.items()
}
SECRET_KEY, *SECRET_KEY_FALLBACKS = _keys["SECRET_KEY"]
SIGNING_KEYS = _keys["SIGNING_KEYS"]
ENCRYPTION_KEYS = _keys["ENCRYPTION_KEYS"]

# Models and their providers
DEFAULT_MODEL = env.text("DEFAULT_MODEL")
AUTOMATIC_TITLES = env.switch("AUTOMATIC_TITLES", default=True)
TITLE_MODEL = env.text("TITLE_MODEL")
AUTOMATIC_SUMMARIES = env.switch("AUTOMATIC_SUMMARIES", default=True)
ALLOW_PRIVATE_UPSTREAMS = env.switch("ALLOW_PRIVATE_UPSTREAMS", default=False)
ALLOW_PRIVATE_WEBHOOKS = env.switch("ALLOW_PRIVATE_WEBHOOKS", default=False)
UPSTREAM_CA_FILE = env.text("UPSTREAM_CA_FILE")
PROVIDERS_FROM_ENVIRONMENT = {
    name: {
        "api_key": env.raw(f"{prefix}_API_KEY"),
        "base_url": env.web_address(f"{prefix}_BASE_URL"),
    }
    for name, prefix in (
        ("openai", "OPENAI"),
        ("dashscope", "DASHSCOPE"),
        ("anthropic", "ANTHROPIC"),
    )
}

# Django
RUNSERVER = "runserver" in sys.argv
INSTALLED_APPS = [
    *(["daphne"] if RUNSERVER else []),
    "config",  # before Django's: its commands stand in for two of theirs
    "unfold",
    "unfold.contrib.constance",
    "django.contrib.admin.apps.SimpleAdminConfig",  # config.urls loads its pages
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "constance",
    "corsheaders",
    "csp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "common",
    "accounts",
    "models_registry",
    "quotas",
    "chat",
    "support",
]
MIDDLEWARE = [
    "common.middleware.EdgeMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "common.middleware.PagesMiddleware",
]
# What these miss runs inside our own two: PagesMiddleware, and EdgeMiddleware's headers.
SILENCED_SYSTEM_CHECKS = [
    "admin.E408",
    "admin.E409",
    "admin.E410",
    "security.W001",
    "security.W002",
    "security.W003",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
LOGOUT_REDIRECT_URL = "/"
DATA_UPLOAD_MAX_MEMORY_SIZE = IMPORT_BODY_BYTES  # config.body_limits is the narrower gate
# As large as the largest body, so that no body is ever spooled to disk before it was judged.
FILE_UPLOAD_MAX_MEMORY_SIZE = IMPORT_BODY_BYTES
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# Sign-in
AUTHENTICATION_BACKENDS = ["accounts.backends.Backend"]
PASSWORD_HASHERS = [
    "accounts.hashers.BoundedArgon2Hasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
_validators = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": f"{_validators}.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "email", "display_name")},
    },
    {
        "NAME": "accounts.validators.LengthValidator",
        "OPTIONS": {"min_length": PASSWORD_MIN_CHARACTERS},
    },
    {"NAME": f"{_validators}.CommonPasswordValidator"},
]

# REST
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.BearerAuthentication",
        "accounts.api.authentication.CookieAuthentication",
        "accounts.api.authentication.SingleUserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["common.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["common.api.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "common.api.pagination.CursorPagination",
    "DEFAULT_SCHEMA_CLASS": "common.schema.AutoSchema",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "common.api.negotiation.Negotiation",
    "EXCEPTION_HANDLER": "common.api.views.exception_handler",
    "PAGE_SIZE": PAGE_SIZE,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "URL_FORMAT_OVERRIDE": None,
    "FORMAT_SUFFIX_KWARG": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Parley",
    "DESCRIPTION": "Chat with AI models for a team, self-hosted.",
    "VERSION": VERSION,
    "SCHEMA_PATH_PREFIX": r"/api/v1/",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_NAME_OVERRIDES": {"RoleEnum": "chat.models.Message.Role"},
}

# Browser
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = ADMIN_SESSION_SECONDS
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(PUBLIC_URL))]
CSRF_FAILURE_VIEW = "common.error_views.csrf_failure"
CONTENT_SECURITY_POLICY = {"DIRECTIVES": PAGES}
CORS_ALLOWED_ORIGINS = [origin for origin in CORS_ORIGINS if origin not in {"*", "null"}]
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = [
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "x-request-id",
    # What OpenAI's clients add of their own when they run in a page.
    "openai-organization",
    "openai-project",
    *(
        f"x-stainless-{name}"
        for name in (
            "arch",
            "helper-method",
            "lang",
            "os",
            "package-version",
            "retry-count",
            "runtime",
            "runtime-version",
            "timeout",
        )
    ),
]
CORS_EXPOSE_HEADERS = [
    "X-Request-ID",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-Should-Retry",
]
CORS_PREFLIGHT_MAX_AGE = 600

# Languages, time, files
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
# The second is for the admin's skin, which brings no translations.
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale" / "unfold"]
USE_TZ = True
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(DATA_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
vars().update(env.email_config("EMAIL_URL"))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("EMAIL_FROM", f"Parley <parley@{_own_name}>")
EMAIL_TIMEOUT = 10

# Changed while it runs: the first value is the environment's, a stored one wins.
CHANGEABLE = {
    "site_name": Changeable(
        SITE_NAME,
        _("What this deployment is called, for clients to show."),
        is_public=True,
        characters=NAME_CHARACTERS,
    ),
    "registration_open": Changeable(
        REGISTRATION_OPEN, _("May newcomers make an account?"), is_public=True
    ),
    "default_model": Changeable(
        DEFAULT_MODEL,
        _("The model that is used where none is named; empty: the first usable one."),
        is_public=True,
        characters=200,
        may_be_empty=True,
    ),
    "automatic_titles": Changeable(
        AUTOMATIC_TITLES,
        _("Shall a model give conversations their titles? Else their first words do."),
    ),
    "title_model": Changeable(
        TITLE_MODEL,
        _("The system model that writes titles; empty: the conversation's own."),
        characters=200,
        may_be_empty=True,
    ),
    "automatic_summaries": Changeable(
        AUTOMATIC_SUMMARIES,
        _("Shall a model sum up what its window has no room for? Else that is left out."),
    ),
    "running_turns_per_user": Changeable(
        RUNNING_TURNS_PER_USER,
        _("How many answers of one person are written at once, in each process."),
        low=1,
        high=100_000,
    ),
    "hold_output_tokens": Changeable(
        HOLD_OUTPUT_TOKENS,
        _("Tokens set aside for an answer where the request names no maximum."),
        low=1,
        high=1_000_000,
    ),
    "hard_limits": Changeable(
        HARD_LIMITS,
        _("Cut answers short where a limit ends? Else what had room at its start is finished."),
    ),
}
CONSTANCE_BACKEND = "common.runtime_settings.Backend"
CONSTANCE_CONFIG = {
    name: (found.first, found.label, found.kind) for name, found in CHANGEABLE.items()
}
CONSTANCE_ADDITIONAL_FIELDS = UNFOLD_CONSTANCE_ADDITIONAL_FIELDS  # the skin's, else without a frame
CONSTANCE_SUPERUSER_ONLY = False  # the permission to change them can be given to others
RUNTIME_SETTINGS_SECONDS = 5

# Seen from outside
LOG_LEVEL = env.text("LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
LOG_FORMAT = env.text("LOG_FORMAT", "console", choices=("console", "json"))
LOGGING_CONFIG = "common.logging.configure"
LOGGING = {"level": LOG_LEVEL, "format": LOG_FORMAT}
SENTRY_DSN = env.report_address("SENTRY_DSN")
