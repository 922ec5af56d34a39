from accounts.admin import doors, people, records

__all__ = ["doors", "people", "records"]
