from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = _("Conversations")

    def ready(self) -> None:
        from chat import purging, receivers, restoring  # noqa: F401, PLC0415 they need the models
        from chat.turns import runner  # noqa: F401, PLC0415 registers its life with the server
