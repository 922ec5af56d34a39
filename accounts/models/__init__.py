from accounts.models.api_keys import ApiKey, Scope
from accounts.models.audit import AppendOnly, AuditAction, AuditEntry, TargetKind
from accounts.models.mails import Letter, MailLink, OutgoingMail
from accounts.models.sign_ins import (
    Session,
    SignIn,
    SignInFailures,
    is_session_key,
    live_sign_in,
)
from accounts.models.users import Role, User

__all__ = [
    "ApiKey",
    "AppendOnly",
    "AuditAction",
    "AuditEntry",
    "Letter",
    "MailLink",
    "OutgoingMail",
    "Role",
    "Scope",
    "Session",
    "SignIn",
    "SignInFailures",
    "TargetKind",
    "User",
    "is_session_key",
    "live_sign_in",
]
