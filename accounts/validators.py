"""What Django's rules for passwords say."""

from __future__ import annotations

from django.contrib.auth.password_validation import MinimumLengthValidator
from django.utils.translation import ngettext


class LengthValidator(MinimumLengthValidator):
    """Django's own rule; its catalogues know its sentence by another spelling than its code."""

    def get_error_message(self) -> str:
        return ngettext(
            "This password is too short. It needs at least %(count)d character.",
            "This password is too short. It needs at least %(count)d characters.",
            self.min_length,
        ) % {"count": self.min_length}
