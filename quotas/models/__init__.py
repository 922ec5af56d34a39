from quotas.models.ledger import Amounts, Hold, Payer, UsageRecord
from quotas.models.limits import (
    AMOUNT_AT_MOST,
    Boost,
    Kind,
    Metric,
    Period,
    Plan,
    PlanAssignment,
    PlanLimit,
    SubjectLimit,
)
from quotas.models.warnings import QuotaWarning
from quotas.models.windows import Window

__all__ = [
    "AMOUNT_AT_MOST",
    "Amounts",
    "Boost",
    "Hold",
    "Kind",
    "Metric",
    "Payer",
    "Period",
    "Plan",
    "PlanAssignment",
    "PlanLimit",
    "QuotaWarning",
    "SubjectLimit",
    "UsageRecord",
    "Window",
]
