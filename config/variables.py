"""What every environment variable means, in the order in which people read about them.

Kinds, defaults and bounds are where a variable is read (`config.env` notes them). Both together
are `.env.example` and docs/configuration.md; `manage.py document_settings` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """`about` is Markdown. `default` says in words what no value at hand can say.

    `compose_only`: docker-compose.yml reads it, and no Python code.
    """

    name: str
    about: str
    default: str = ""
    compose_only: bool = False


SECTIONS: tuple[tuple[str, tuple[Variable, ...]], ...] = (
    (
        "The settings file",
        (
            Variable(
                "ENV_FILE",
                "Another file to read settings from; given in the environment itself.",
                default="`.env`",
            ),
        ),
    ),
    (
        "Models",
        (
            Variable(
                "OPENAI_API_KEY",
                "A key found here becomes a connection that everyone may use, with all models that "
                "its server lists.",
            ),
            Variable(
                "OPENAI_BASE_URL",
                "The server to ask instead of OpenAI: for Ollama, vLLM and the like, for example "
                "`http://127.0.0.1:11434/v1`; then the key may be left out.",
                default="OpenAI's own",
            ),
            Variable("DASHSCOPE_API_KEY", "The same for Qwen at Alibaba Cloud Model Studio."),
            Variable(
                "DASHSCOPE_BASE_URL",
                "Outside mainland China `https://dashscope-intl.aliyuncs.com/api/v1`.",
                default="the one in Beijing",
            ),
            Variable("ANTHROPIC_API_KEY", "The same for Claude."),
            Variable(
                "ANTHROPIC_BASE_URL",
                "Another server that speaks Anthropic's Messages API.",
                default="Anthropic's own",
            ),
            Variable(
                "DEFAULT_MODEL",
                "The model that is used where none is named. A value stored in `/admin/` wins.",
                default="the first usable one, else `offline`",
            ),
            Variable(
                "AUTOMATIC_TITLES",
                "Shall a model give conversations their titles? Else their first words do. A "
                "stored value wins.",
            ),
            Variable(
                "TITLE_MODEL",
                "The model that writes titles. A stored value wins.",
                default="the conversation's own",
            ),
            Variable(
                "AUTOMATIC_SUMMARIES",
                "Shall a model sum up what its window has no room for? Else that is left out. A "
                "stored value wins.",
            ),
            Variable(
                "ALLOW_PRIVATE_UPSTREAMS",
                "May people who are not staff connect to private addresses, and without https?",
            ),
            Variable(
                "UPSTREAM_CA_FILE",
                "A file with certificate authorities to trust beside the known ones (PEM), for "
                "providers of your own.",
            ),
        ),
    ),
    (
        "Who may come in",
        (
            Variable(
                "REGISTRATION_OPEN",
                "May newcomers make an account? A value stored in `/admin/` wins.",
            ),
            Variable(
                "ADMIN_USERNAME",
                "With the next two: the first administrator, made at the next start where there "
                "is none yet.",
            ),
            Variable("ADMIN_EMAIL", "Their e-mail address."),
            Variable("ADMIN_PASSWORD", "Their password; remove it after the start."),
            Variable(
                "SINGLE_USER",
                "One person, no sign-in, this machine only (docs/self-hosting.md); others sign in "
                "with `ADMIN_PASSWORD`.",
            ),
            Variable(
                "SITE_NAME",
                "What clients show as this deployment's name. A value stored in `/admin/` wins.",
            ),
        ),
    ),
    (
        "Where it listens and what it is called",
        (
            Variable("HOST", "The address to listen on; `0.0.0.0` for all of this machine's."),
            Variable("PORT", "The port to listen on."),
            Variable(
                "PUBLIC_URL",
                "The address that people use. Every link, also in mail, is built from it.",
                default="`http://localhost` and the port",
            ),
            Variable(
                "ALLOWED_HOSTS",
                "Names that requests may be addressed to.",
                default="localhost and the name in `PUBLIC_URL`",
            ),
            Variable(
                "CORS_ORIGINS",
                "Foreign web pages that may call the API and open sockets, for example "
                "`https://app.example.com`.",
            ),
            Variable(
                "TRUSTED_PROXIES",
                "Addresses or networks of the proxies in front; only they may name the client's "
                "address.",
            ),
        ),
    ),
    (
        "Production",
        (
            Variable(
                "PRODUCTION",
                "Turns the warnings about missing secrets and addresses into errors that stop the "
                "start. docker-compose.yml sets it; the three secrets below and `PUBLIC_URL` are "
                "needed then.",
            ),
            Variable(
                "SECRET_KEY",
                "Signs the cursors of lists and the cookies of pages: 32 characters or more, "
                "`openssl rand -hex 32`. Several, comma separated: the first is used, the others "
                "are still accepted.",
                default="made once, under `DATA_DIR`",
            ),
            Variable(
                "SIGNING_KEYS",
                "Signs access tokens; made and rotated like `SECRET_KEY`, and not equal to it.",
                default="made once, under `DATA_DIR`",
            ),
            Variable(
                "ENCRYPTION_KEYS",
                "Encrypts the providers' keys. Lose it, and those keys must be entered again.",
                default="made once, under `DATA_DIR`",
            ),
            Variable(
                "POSTGRES_PASSWORD",
                "The database's, in docker-compose.yml: `openssl rand -hex 24`.",
                compose_only=True,
            ),
            Variable(
                "REDIS_PASSWORD",
                "Redis's, in docker-compose.yml: `openssl rand -hex 24`.",
                compose_only=True,
            ),
            Variable(
                "NGINX_PORT",
                "Where the nginx of docker-compose.yml listens.",
                default="`80`",
                compose_only=True,
            ),
            Variable(
                "PARLEY_VERSION",
                "The tag of the image that docker compose builds and runs.",
                default="`latest`",
                compose_only=True,
            ),
        ),
    ),
    (
        "Storage and jobs",
        (
            Variable(
                "DATA_DIR",
                "Holds the secrets made by a first start, the SQLite database, files. Back it up.",
            ),
            Variable(
                "DATABASE_URL",
                "Where PostgreSQL is: `postgres://user:password@host:5432/parley`.",
                default="SQLite under `DATA_DIR`",
            ),
            Variable("DATABASE_POOL_SIZE", "Connections that one process may hold."),
            Variable("DATABASE_WAIT_SECONDS", "How long a start waits for PostgreSQL."),
            Variable(
                "REDIS_URL",
                "Where Redis is: `redis://:password@host:6379/0`. Without it there is one server "
                "process, and one only.",
            ),
            Variable(
                "STATIC_ROOT",
                "Where `manage.py collectstatic` puts files for nginx.",
                default="`static/` under `DATA_DIR`",
            ),
            Variable(
                "EMBEDDED_WORKER",
                "Does the server run jobs itself? docker-compose.yml sets `false` and starts a "
                "worker and a beat.",
            ),
        ),
    ),
    (
        "Mail",
        (
            Variable(
                "EMAIL_URL",
                "The server that sends mail: `smtp+tls://user:password@host:587`.",
                default="mails are printed to the console",
            ),
            Variable(
                "EMAIL_FROM",
                "The sender of mail.",
                default="`Parley <parley@…>` with the server's name",
            ),
        ),
    ),
    (
        "Watching it",
        (
            Variable(
                "METRICS_TOKEN",
                "Opens `/metrics` to whoever shows it as a bearer token; without it only this "
                "machine may look.",
            ),
            Variable("LOG_LEVEL", "How much is logged."),
            Variable("LOG_FORMAT", "For people, or a JSON object a line."),
            Variable("SENTRY_DSN", "Where bugs are reported: `https://key@host/project`."),
            Variable("TIME_ZONE", "The clock of the admin and of dates without a time."),
            Variable("DEBUG", "Tracebacks in the browser. Never where others can reach it."),
        ),
    ),
    (
        "Limits and waits",
        (
            Variable("LIMIT_FACTOR", "Multiplies every rate and count limit; for load runs."),
            Variable("RATE_API_USER", "Requests of one person."),
            Variable("RATE_API_KEY", "Requests with one API key."),
            Variable("RATE_API_ANONYMOUS", "Requests without a sign-in from one address."),
            Variable("RATE_TURNS_USER", "Answers that one person asks for."),
            Variable("RATE_REGISTER", "Registrations from one address."),
            Variable("RATE_FORGOT_PASSWORD_EMAIL", "Links for a new password to one mailbox."),
            Variable("RATE_FORGOT_PASSWORD_ADDRESS", "The same, asked for from one address."),
            Variable("RATE_CONNECTION_TEST", "Tests of connections by one person."),
            Variable("RATE_VERIFY_EMAIL", "Changes of one person's e-mail address."),
            Variable("RATE_TYPING", "How often one person is seen to type."),
            Variable(
                "HOLD_OUTPUT_TOKENS", "Tokens set aside for an answer whose length nobody limited."
            ),
            Variable(
                "HARD_LIMITS",
                "Cut an answer short where a limit ends, instead of finishing what had room.",
            ),
            Variable("PROVIDER_CONNECT_SECONDS", "How long connecting to a provider may take."),
            Variable("PROVIDER_FIRST_TOKEN_SECONDS", "How long a provider may take to begin."),
            Variable("PROVIDER_SILENCE_SECONDS", "How long a provider may pause."),
            Variable("TURN_SECONDS", "How long an answer may take in all."),
            Variable("SHUTDOWN_TURN_SECONDS", "How long running answers have after a SIGTERM."),
            Variable(
                "FREE_DISK_MB",
                "With less room on the disk (megabytes) people only read; 0 never looks.",
            ),
            Variable(
                "ALLOW_PRIVATE_WEBHOOKS",
                "May webhooks reach private addresses? Used as soon as there is a desk.",
            ),
            Variable(
                "WIDGET_TOKEN_SECONDS",
                "The life of a visitor's token. Used as soon as there is a desk.",
            ),
        ),
    ),
)
