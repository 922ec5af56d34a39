"""Django's PostgreSQL backend with a pool that comes back at once (see `base`)."""
