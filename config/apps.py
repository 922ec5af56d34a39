from django.apps import AppConfig


class ShellConfig(AppConfig):
    """The composition: its checks and commands. No models."""

    name = "config"
    label = "shell"
    verbose_name = "Parley"
