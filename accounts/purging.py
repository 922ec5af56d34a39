"""What of accounts runs out, and is purged (G5)."""

from __future__ import annotations

from accounts.services import api_keys, audit, lockout, mails, sign_ins
from common import purging

purging.register("cookie sessions", sign_ins.outlived_sessions)
purging.register("sign-ins", sign_ins.outlived)
purging.register("API keys", api_keys.outlived)
purging.register("mailed links", mails.outlived_links)
purging.register("failed sign-ins", lockout.outlived)
purging.register("audit entries", audit.outlived, by=audit.drop)
