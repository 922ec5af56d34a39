"""What of accounts runs out, and is purged (G5)."""

from __future__ import annotations

from accounts.services import api_keys, audit, lockout, mails, sign_ins
from common import purging

purging.register("cookie sessions", sign_ins.ended_sessions)
purging.register("sign-ins", sign_ins.over)
purging.register("API keys", api_keys.over)
purging.register("mailed links", mails.dead_links)
purging.register("failed sign-ins", lockout.ended_counts)
purging.register("audit entries", audit.outlived, by=audit.drop)
