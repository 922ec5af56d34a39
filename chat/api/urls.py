from django.urls import path

from chat.api.views.conversations import ConversationViewSet
from chat.api.views.messages import FeedbackView, MessagesStreamView, MessagesView, MessageView
from chat.api.views.transfer import (
    ArchiveView,
    ExportView,
    ImportView,
    ShareView,
    ShareViewSet,
    StatisticsView,
)
from chat.api.views.turns import ChatView, MessageStreamView, RegenerateView, StopView
from chat.api.waiting import may_wait

_one = ConversationViewSet.as_view(
    {"get": "retrieve", "patch": "partial_update", "put": "update", "delete": "destroy"}
)

urlpatterns = [
    path("conversations", ConversationViewSet.as_view({"get": "list", "post": "create"})),
    path("conversations/import", ImportView.as_view()),
    path("conversations/<uuid:conversation_id>", _one),
    path(
        "conversations/<uuid:conversation_id>/archive",
        ConversationViewSet.as_view({"post": "archive"}),
    ),
    path(
        "conversations/<uuid:conversation_id>/unarchive",
        ConversationViewSet.as_view({"post": "unarchive"}),
    ),
    path(
        "conversations/<uuid:conversation_id>/messages",
        may_wait(MessagesView.as_view()),
    ),
    path(
        "conversations/<uuid:conversation_id>/messages/stream",
        may_wait(MessagesStreamView.as_view()),
    ),
    path("conversations/<uuid:conversation_id>/export", ExportView.as_view()),
    path("conversations/<uuid:conversation_id>/share", ShareView.as_view()),
    path("shares", ShareViewSet.as_view({"get": "list"})),
    path("messages/<uuid:message_id>", MessageView.as_view()),
    path("messages/<uuid:message_id>/stream", may_wait(MessageStreamView.as_view())),
    path("messages/<uuid:message_id>/stop", may_wait(StopView.as_view())),
    path("messages/<uuid:message_id>/regenerate", may_wait(RegenerateView.as_view())),
    path("messages/<uuid:message_id>/feedback", FeedbackView.as_view()),
    # Accounts' address, extended: what a person has here is known here (ARCHITECTURE section 1).
    path("users/me/stats", StatisticsView.as_view()),
    path("users/me/export", ArchiveView.as_view()),
    path("chat", may_wait(ChatView.as_view())),
]
