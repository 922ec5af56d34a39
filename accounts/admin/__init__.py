from accounts.admin import doors, people, records, settings, trail

__all__ = ["doors", "people", "records", "settings", "trail"]
