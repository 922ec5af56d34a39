"""Which conversations are public, for operators."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.admin.actors import actor_of
from chat.models import Share
from chat.services.sharing import revoke_share
from common.admin import ReadOnlyAdmin


@admin.register(Share)
class ShareAdmin(ReadOnlyAdmin):
    """Which conversations are public, not what is in them."""

    list_display = ("id", "owner", "in_conversation", "created_at")
    list_select_related = ("conversation__owner",)
    search_fields = ("conversation__owner__username__istartswith",)
    search_help_text = _("How the owner's name begins, or an id")
    id_fields = ("id", "conversation_id", "conversation__owner_id")
    ordering = ("-id",)
    fields = ("id", "owner", "in_conversation", "created_at")
    help_texts = {
        "owner": _("Who made it public."),
        "in_conversation": _("The conversation, as it was when it was shared."),
        "created_at": _("When it was shared."),
    }
    actions = ("revoke",)

    # Django names a foreign key's bare column in English, whatever it is called.
    @admin.display(description=_("conversation"))
    def in_conversation(self, share: Share) -> str:
        return str(share.conversation_id)

    @admin.display(description=_("owner"))
    def owner(self, share: Share) -> str:
        return str(share.conversation.owner)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_share")

    @admin.action(description=_("Revoke the selected shares"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, shares: QuerySet[Share]) -> None:
        actor = actor_of(request)
        ended = sum(
            revoke_share(share.conversation, actor=actor)
            for share in shares.select_related("conversation")
        )
        told = ngettext(
            "%(count)d share leads nowhere now.",
            "%(count)d shares lead nowhere now.",
            ended,
        )
        messages.info(request, told % {"count": ended})
