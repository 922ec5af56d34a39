from django.urls import path

from chat import pages

urlpatterns = [path("share/<str:token>", pages.share, name="share")]
