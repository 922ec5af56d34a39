from django.apps import AppConfig
from django.conf import settings


class ShellConfig(AppConfig):
    """The composition: its checks and commands. No models."""

    name = "config"
    label = "shell"
    verbose_name = "Parley"

    def ready(self) -> None:
        from config import checks  # noqa: F401, PLC0415 registers itself

        if settings.SENTRY_DSN:
            from config import error_reports  # noqa: PLC0415 costs time that few need

            error_reports.start()
