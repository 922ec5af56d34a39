"""Django's door to people: the admin and whatever else asks `django.contrib.auth`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.backends import ModelBackend

from accounts.errors import InvalidCredentials
from accounts.services.authentication import authenticate
from common.addresses import client_address

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.models import User


class Backend(ModelBackend):
    """Permissions as Django has them; passwords through the one function that counts failures."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """The person, or None for wrong credentials. Raises LockedOut, RateLimited, Invalid."""
        if request is None or username is None or password is None:
            return None
        try:
            proof = authenticate(
                name=username, password=password, address=client_address(request.META)
            )
        except InvalidCredentials:
            return None
        return proof.user
