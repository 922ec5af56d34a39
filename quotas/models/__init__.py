from quotas.models.ledger import Consumption, Hold, Payer, UsageRecord
from quotas.models.limits import (
    AMOUNT_AT_MOST,
    REASON_CHARACTERS,
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
    "REASON_CHARACTERS",
    "Boost",
    "Consumption",
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
