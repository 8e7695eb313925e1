"""One call of Cliq's custom email API with `http.client`: the status to stderr, the body to stdout.

CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, and BODY (may be empty) come from the environment.
"""

import http.client
import os
import sys
from urllib.parse import urlsplit

connection = http.client.HTTPConnection(urlsplit(os.environ["CLIQ_ORIGIN"]).netloc)
connection.request(
    os.environ["METHOD"],
    "/api/v2/mailconfigurations/global",
    os.environ.get("BODY") or None,
    {
        "Authorization": f"Bearer {os.environ['CLIQ_TOKEN']}",
        "content-type": "application/json",
    },
)
answer = connection.getresponse()
sys.stderr.write(str(answer.status))
sys.stdout.write(answer.read().decode())
