from accounts.admin import doors, keys, people, records, settings, trail

__all__ = ["doors", "keys", "people", "records", "settings", "trail"]
