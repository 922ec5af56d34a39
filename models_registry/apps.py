from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ModelsRegistryConfig(AppConfig):
    name = "models_registry"
    verbose_name = _("Models")

    def ready(self) -> None:
        from models_registry import checks, startup  # noqa: F401, PLC0415 they need the models
        from models_registry.services import routing  # noqa: F401, PLC0415 it judges a setting
