"""What other apps may hear from quotas."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after commit. Arguments: warning, a QuotaWarning.
quota_warned = Signal()
