"""A restored backup begins a new session epoch (F19).

Every token names a sign-in that has to be live, and ids are never used twice. So it is enough to
revoke all that the backup knows: what was revoked, purged or begun since has no live row either.
So do API keys end: the backup does not tell which of them were revoked since.
"""

from __future__ import annotations

from accounts.models import MailLink, OutgoingMail, Session
from accounts.services import api_keys, sign_ins
from common import restoring

# The cookie itself; what works once, and may have been used since; what was sent since.
restoring.leave_out(Session, MailLink, OutgoingMail)
restoring.end_at_restore(sign_ins.revoke_everyone)
restoring.end_at_restore(api_keys.revoke_everyone)
