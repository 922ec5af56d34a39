from quotas.admin import ledger, limits, people, plans

__all__ = ["ledger", "limits", "people", "plans"]
