from django.urls import path

from chat.api.openai.views import CompletionsView, ModelsView, ModelView
from chat.api.waiting import may_wait

urlpatterns = [
    path("models", ModelsView.as_view()),
    path("models/<path:name>", ModelView.as_view()),
    path("chat/completions", may_wait(CompletionsView.as_view())),
]
