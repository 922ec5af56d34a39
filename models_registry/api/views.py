"""Connections and models: one's own, and the deployment's for those with the permission."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.scopes import CHOOSING
from accounts.models import User
from common.api import query
from common.api.bodies import validated
from common.api.views import ApiViewSet
from common.errors import Invalid, PermissionDenied
from common.schema import DONE
from models_registry.api.serializers import (
    ConnectionSerializer,
    ConnectionTestSerializer,
    DiscoverySerializer,
    ListedModelSerializer,
    ManagedModelSerializer,
    ModelSerializer,
    VerdictSerializer,
)
from models_registry.models import ChatModel, Connection
from models_registry.models.chat_model import ChatModelQuerySet
from models_registry.services import connections, models
from models_registry.services.connection_tests import check_connection
from models_registry.services.discovery import discover
from models_registry.services.explaining import explain, explain_all

_ORDERINGS = {
    "name": ("name", "id"),
    "-name": ("-name", "-id"),
    "created_at": ("id",),
    "-created_at": ("-id",),
}
_ORDERING = OpenApiParameter("ordering", enum=list(_ORDERINGS))
_USABLE = OpenApiParameter(
    "usable", bool, description="false: those open to the caller that cannot be used, and why."
)
_PERSON = OpenApiParameter("user", OpenApiTypes.UUID, description="Somebody else, for staff.")


class RegistryViewSet(ApiViewSet):
    default_ordering = "name"

    @property
    def user(self) -> User:
        return caller_of(self.request).user

    def get_ordering(self) -> tuple[str, ...]:
        chosen = query.choice(self.request, "ordering", _ORDERINGS, default=self.default_ordering)
        return _ORDERINGS[chosen or self.default_ordering]

    def valid(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        """The body, validated; raises Invalid. A partial one holds only what was sent."""
        return validated(self.get_serializer(data=request.data, partial=partial))

    def page(self, rows: QuerySet[Any], serializer: Any) -> Response:
        found = self.paginate_queryset(rows)
        return self.get_paginated_response(serializer(found, many=True).data)


class ConnectionViewSet(RegistryViewSet):
    """Where models are reached. The key goes in and never comes out."""

    serializer_class = ConnectionSerializer
    queryset = Connection.objects.none()
    default_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[Connection]:
        return Connection.objects.manageable_by(self.user)

    @extend_schema(parameters=[_ORDERING])
    def list(self, request: Request) -> Response:
        """One's own; the deployment's too, for those who may see them."""
        return self.page(self.get_queryset(), ConnectionSerializer)

    @extend_schema(responses={201: ConnectionSerializer})
    def create(self, request: Request) -> Response:
        """Without an address the vendor's own is used. Nothing is sent there."""
        connection = connections.create_connection(self.user, **self.valid(request))
        return Response(ConnectionSerializer(connection).data, status=201)

    def retrieve(self, request: Request, pk: str) -> Response:
        """The key is not among it."""
        return Response(ConnectionSerializer(self._found(pk)).data)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Another `provider`, `base_url` or `scope` needs `api_key` anew; `""` drops the key."""
        connection = connections.change_connection(
            self._found(pk), actor=self.user, changes=self.valid(request, partial=True)
        )
        return Response(ConnectionSerializer(connection).data)

    @extend_schema(responses={204: DONE})
    def destroy(self, request: Request, pk: str) -> Response:
        """Its models go with it, and turns that run on them end."""
        connections.delete_connection(self._found(pk), actor=self.user)
        return Response(status=204)

    @extend_schema(request=None, responses=ConnectionTestSerializer)
    def test(self, request: Request, pk: str) -> Response:
        """Ask the server for its list of models; 10 a minute for a person."""
        return Response(check_connection(self._found(pk), actor=self.user).as_dict())

    @extend_schema(request=None, responses=DiscoverySerializer)
    def discover(self, request: Request, pk: str) -> Response:
        """Test it, and make a model of everything it lists that is not there yet."""
        outcome, added = discover(self._found(pk), actor=self.user)
        shown = [ModelSerializer(model).data for model in added]
        return Response(outcome.as_dict() | {"added": shown})

    def _found(self, pk: str) -> Connection:
        return get_object_or_404(self.get_queryset(), pk=pk)


class ModelViewSet(RegistryViewSet):
    """What one can chat with."""

    refuses_with = ("404",)  # a connection that is not the caller's
    key_scopes = CHOOSING
    serializer_class = ManagedModelSerializer
    queryset = ChatModel.objects.none()

    def get_queryset(self) -> QuerySet[ChatModel]:
        return self._named(ChatModel.objects.usable_by(self.user)).select_related("connection")

    @extend_schema(parameters=[_ORDERING, _USABLE], responses=ListedModelSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Those the caller may use; of two with one name the caller's own. With an API key that
        is bound to some models, those."""
        if query.boolean(request, "usable", default=True):
            return self.page(self.get_queryset(), ModelSerializer)
        unusable = self._named(ChatModel.objects.unusable_by(self.user)).select_related(
            "connection"
        )
        found = list(self.paginate_queryset(unusable) or ())
        context = {"verdicts": explain_all(found, self.user)}
        shown = [ListedModelSerializer(model, context=context).data for model in found]
        return self.get_paginated_response(shown)

    @extend_schema(responses={201: ManagedModelSerializer})
    def create(self, request: Request) -> Response:
        """What is left out is filled from what is known of the model. A system model without
        `access` is open to everyone."""
        model = models.create_model(self.user, **self.valid(request))
        return Response(ManagedModelSerializer(model).data, status=201)

    @extend_schema(responses=ManagedModelSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Those who may change it also see connection, access and fallbacks."""
        model = self._found(pk)
        managed = ChatModel.objects.manageable_by(self.user).filter(pk=model.pk).exists()
        shown = ManagedModelSerializer if managed else ModelSerializer
        return Response(shown(model).data)

    def partial_update(self, request: Request, pk: str) -> Response:
        """`access` and `fallbacks` are replaced as a whole."""
        model = models.change_model(
            self._found(pk), actor=self.user, changes=self.valid(request, partial=True)
        )
        return Response(ManagedModelSerializer(model).data)

    @extend_schema(responses={204: DONE})
    def destroy(self, request: Request, pk: str) -> Response:
        """Turns that run on it end."""
        models.delete_model(self._found(pk), actor=self.user)
        return Response(status=204)

    @extend_schema(parameters=[_PERSON], responses=VerdictSerializer)
    def access(self, request: Request, pk: str) -> Response:
        """May the caller use it, and by which rule? Staff may ask for somebody else."""
        someone = query.uuid(request, "user")
        return Response(explain(self._found(pk), self._person(someone)).as_dict())

    def _person(self, pk: UUID | None) -> User:
        if pk is None or pk == self.user.pk:
            return self.user
        if not self.user.has_perms(["models_registry.view_chatmodel", "accounts.view_user"]):
            raise PermissionDenied
        person = User.objects.get_queryset().filter(pk=pk).first()
        if person is None:
            raise Invalid.field("user", _("There is no such person."))
        return person

    def _found(self, pk: str) -> ChatModel:
        """One of those that are open to the caller or theirs to manage; no other exists."""
        open_ = ChatModel.objects.open_to(self.user).values("pk")
        managed = ChatModel.objects.manageable_by(self.user).values("pk")
        theirs = ChatModel.objects.filter(Q(pk__in=open_) | Q(pk__in=managed))
        return get_object_or_404(self._named(theirs).select_related("connection"), pk=pk)

    def _named(self, rows: ChatModelQuerySet) -> ChatModelQuerySet:
        return rows.named(caller_of(self.request).models)
