"""Plays the administrator of a simulated LMS: enters the host's URLs as a new tool, and says what the LMS answers.

    python add_tool.py LMS-URL HOST-URL REGISTRATION

In a real LMS this is a form; `ltihost registration guide` says where it is.
"""

import json
import sys
from urllib.request import urlopen

lms, host, registration = sys.argv[1:]
base = f"{host}/r/{registration}/lti"
form = {"name": "First", "login_url": f"{base}/login", "launch_url": f"{base}/launch", "jwks_url": f"{base}/jwks"}
with urlopen(f"{lms}/_tools", json.dumps(form).encode(), timeout=10) as answer:  # noqa: S310
    tool = json.load(answer)

ids = "issuer={issuer} client-id={client_id} deployment-id={deployment_id}"
urls = "auth-url={auth_url} token-url={token_url} jwks-url={jwks_url}"
sys.stdout.write(f"{ids} {urls}\n".format(**tool))
