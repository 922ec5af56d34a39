"""Public links to conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

from chat.models.conversations import Conversation
from common.models import Record

if TYPE_CHECKING:
    from accounts.models import User


class ShareQuerySet(models.QuerySet["Share"]):
    def visible_to(self, user: User) -> ShareQuerySet:
        """The shares of conversations that exist for `user`."""
        return self.filter(conversation__owner=user)

    def live(self) -> ShareQuerySet:
        """Those that open: not while the one who shared is suspended."""
        return self.filter(conversation__owner__is_active=True)


class Share(Record):
    """A public link to how a conversation was when it was shared.

    The link's token is kept as a digest alone. `turns` are the messages of the active branch,
    each with `role`, `model`, `html` (rendered and cleaned) and `at`; nothing else is shown.
    """

    conversation = models.OneToOneField(
        Conversation,
        on_delete=models.CASCADE,
        related_name="share",
        verbose_name=_("conversation"),
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    title = models.CharField(_("title"), max_length=200, blank=True)
    turns = models.JSONField(default=list, editable=False)

    objects = ShareQuerySet.as_manager()

    class Meta:
        verbose_name = _("share")
        verbose_name_plural = _("shares")

    def __str__(self) -> str:
        return str(self.id)
