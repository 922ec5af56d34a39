from accounts.admin import doors, keys, people, records, roles, settings, trail

__all__ = ["doors", "keys", "people", "records", "roles", "settings", "trail"]
