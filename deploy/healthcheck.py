"""Exits 0 while the Parley server of this container is ready; the image has no curl.

No Django here: this runs every 15 seconds.
"""

import http
import http.client
import os
import sys
from urllib.parse import urlsplit

# The Host that ALLOWED_HOSTS surely holds, whatever address we connect to.
host = urlsplit(os.environ.get("PUBLIC_URL", "")).netloc or "localhost"
port = int(os.environ.get("PORT") or 8000)
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
try:
    connection.request("GET", "/health/ready", headers={"Host": host})
    sys.exit(connection.getresponse().status != http.HTTPStatus.OK)
except OSError:
    sys.exit(1)
