"""`python -m reach.health`: asks the server in this container how it is. Exit 0: fit to serve.

The image has no curl, and needs none: what is not there cannot be used by an intruder either.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 3


def main() -> int:
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8765")), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health", headers={"Connection": "close"})
        response = connection.getresponse()
        # Docker keeps this output: `docker inspect` shows why a check failed.
        print(response.read().decode().strip())
        return 0 if response.status == 200 else 1
    except (OSError, HTTPException) as error:
        print(f"no answer: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
