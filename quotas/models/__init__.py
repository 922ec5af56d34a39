from quotas.models.ledger import Hold, Subject, UsageRecord

__all__ = ["Hold", "Subject", "UsageRecord"]
