"""Settings of the tests: a folder of their own, cheap password hashes, mail in memory."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_folder = tempfile.mkdtemp(prefix="parley-test-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["DATA_DIR"] = _folder
os.environ["ENV_FILE"] = os.devnull
for _name in ("PRODUCTION", "DEBUG", "PUBLIC_URL", "ALLOWED_HOSTS", "SINGLE_USER", "HOST", "PORT"):
    os.environ.pop(_name, None)
if os.environ.get("REDIS_URL") and (_worker := os.environ.get("PYTEST_XDIST_WORKER")):
    # A database of Redis for each of two workers: clearing a cache empties it altogether.
    _server, _, _number = os.environ["REDIS_URL"].rpartition("/")
    os.environ["REDIS_URL"] = f"{_server}/{int(_number) + int(_worker.removeprefix('gw'))}"

from config.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1", "[::1]"]
RUNTIME_SETTINGS_SECONDS = 0
# How long others are waited for. A busy machine is no fault; a test that plays one says how long.
DISCOVERY_SECONDS = 60
HEALTH_CHECK_SECONDS = 60
PASSWORD_HASH_WAIT_SECONDS = 60
SEARCH_SECONDS = 60
SEARCH_INDEX_SECONDS = 60
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["CONN_MAX_AGE"] = 0  # each test has threads of its own
    # A file: threads that share SQLite's in-memory database lock one another out.
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_folder) / "test.sqlite3")}
