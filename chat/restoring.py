"""What of chat must not live again when a backup is restored (F19)."""

from __future__ import annotations

from chat.models import Share
from common import restoring

# A link that was revoked since would lead somewhere again: whoever wants theirs makes it anew.
restoring.leave_out(Share)
