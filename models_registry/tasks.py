"""Jobs of the models."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from celery import shared_task

from models_registry.services import discovery


@shared_task
def list_environment_models() -> None:
    """Ask again the servers whose list of models could not be read yet; nothing without any."""
    async_to_sync(discovery.list_environment_models)()
