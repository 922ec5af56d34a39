"""What the models say upwards."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after commit, when models are gone (alone or with their connection). Arguments:
# model_ids, a frozenset. Turns that run on them must end (SECURITY A8).
models_removed = Signal()
