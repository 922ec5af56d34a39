from accounts.admin import doors, people, records, trail

__all__ = ["doors", "people", "records", "trail"]
