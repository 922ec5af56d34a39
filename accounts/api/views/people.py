"""People, as those see and change them who may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import serializers
from accounts.api.callers import caller_of
from accounts.models import SignIn, User
from accounts.models.users import UserQuerySet
from accounts.services import people
from common.api import query
from common.api.bodies import validated
from common.api.views import ApiViewSet
from common.db import bounded_query
from common.errors import NotFound, PermissionDenied
from common.schema import DONE

# How `?ordering=` spells it -> what it sorts by.
_ORDERINGS = {
    "-created_at": ("-id",),
    "created_at": ("id",),
    "username": ("username_key",),
    "-username": ("-username_key",),
}
_NEWEST = "-created_at"


class ManagingViewSet(ApiViewSet):
    """For those with the permission. Whoever lacks it is not told who exists."""

    def check(self, action: str) -> User:
        """The caller; raises PermissionDenied unless they may do this to people."""
        caller = caller_of(self.request).user
        people.check_may(caller, action)
        return caller

    def found(self, user_id: UUID) -> User:
        user = User.objects.get_queryset().prefetch_related("groups").filter(pk=user_id).first()
        if user is None:
            raise NotFound
        return user


@extend_schema(tags=["users"])
class PersonViewSet(ManagingViewSet):
    """Higher apps extend it: by more fields in the serializers, by what `shown` tells of people
    and by what `change` does with the fields."""

    serializer_class: Any = serializers.PersonSerializer
    changes_serializer_class: Any = serializers.PersonChangesSerializer
    queryset = User.objects.none()
    lookup_url_kwarg = "user_id"

    def get_ordering(self) -> tuple[str, ...]:
        chosen = query.choice(self.request, "ordering", _ORDERINGS, default=_NEWEST)
        return _ORDERINGS[chosen or _NEWEST]

    @extend_schema(
        parameters=[
            OpenApiParameter("q", str, description="Searches names and e-mail addresses."),
            OpenApiParameter("role", str),
            OpenApiParameter("is_active", bool),
            OpenApiParameter("ordering", str, enum=list(_ORDERINGS)),
        ]
    )
    def list(self, request: Request) -> Response:
        """Everybody, the newest first."""
        self.check("view")
        rows = self._narrowed(request)
        page: Sequence[User] | None
        if text := query.search(request):
            with bounded_query(settings.SEARCH_SECONDS):
                page = self.paginate_queryset(rows.matching(text))
        else:
            page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.shown(page or []))

    def shown(self, people_shown: Sequence[User]) -> Sequence[dict[str, Any]]:
        """People as this view tells of them, with the same queries for one and for many."""
        return [dict(self.get_serializer(user).data) for user in people_shown]

    def change(self, user: User, fields: dict[str, Any], *, actor: User) -> User:
        return people.change(user, actor=actor, **fields)

    def _narrowed(self, request: Request) -> UserQuerySet:
        rows = User.objects.get_queryset().prefetch_related("groups")
        if (role := query.given(request, "role")) is not None:
            rows = rows.filter(groups__name=role)
        if (is_active := query.boolean(request, "is_active")) is not None:
            rows = rows.filter(is_active=is_active)
        return rows

    @extend_schema(
        request=serializers.NewPersonSerializer, responses={201: serializers.PersonSerializer}
    )
    def create(self, request: Request) -> Response:
        """Somebody who can sign in at once; a member, unless `roles` says otherwise."""
        caller = self.check("add")
        fields = validated(serializers.NewPersonSerializer(data=request.data))
        made = people.create(**fields, actor=caller)
        return Response(self.shown([made])[0], status=201)

    def retrieve(self, request: Request, user_id: UUID) -> Response:
        self.check("view")
        return Response(self.shown([self.found(user_id)])[0])

    @extend_schema(request=serializers.PersonChangesSerializer)
    def partial_update(self, request: Request, user_id: UUID) -> Response:
        """`is_active: false` suspends: tokens, sessions, API keys, sockets and streams end at
        once, and keys for good."""
        caller = self.check("change")
        fields = validated(self.changes_serializer_class(data=request.data))
        changed = self.change(self.found(user_id), fields, actor=caller)
        return Response(self.shown([changed])[0])

    @extend_schema(responses={204: DONE})
    def destroy(self, request: Request, user_id: UUID) -> Response:
        """Erases the person and all that is personal. Suspending is what can be undone."""
        caller = self.check("delete")
        people.erase(self.found(user_id), actor=caller)
        return Response(status=204)

    @extend_schema(responses=serializers.StatisticsSerializer)
    def stats(self, request: Request) -> Response:
        self.check("view")
        return Response(serializers.StatisticsSerializer(people.statistics()).data)


@extend_schema(tags=["users"])
class PersonSessionsViewSet(ManagingViewSet):
    """The devices on which somebody is signed in."""

    serializer_class = serializers.SignInSerializer
    queryset = SignIn.objects.none()
    lookup_url_kwarg = "user_id"

    def list(self, request: Request, user_id: UUID) -> Response:
        caller = self.check("view")
        if not caller.has_perm("accounts.view_signin"):
            raise PermissionDenied
        page = self.paginate_queryset(self.found(user_id).sign_ins.live())
        return self.get_paginated_response(serializers.SignInSerializer(page, many=True).data)

    @extend_schema(responses={204: DONE})
    def destroy(self, request: Request, user_id: UUID) -> Response:
        """Signs them out everywhere; they may sign in again. Their API keys stay."""
        caller = self.check("change")
        people.sign_out(self.found(user_id), actor=caller)
        return Response(status=204)
