"""What the suites of tests/browser and tests/proxies need so that hubcast believes them, and a port for it."""

import base64
import hashlib
import hmac
import json
import secrets
import socket
import time


class Credentials:
    """A secret that signs tokens, and an API key. The secret is kept in the folder `work`."""

    def __init__(self, work):
        self.key = f"hc_test_{secrets.token_urlsafe(32)}"
        self._secret, self._file = secrets.token_hex(32), work / "secret"
        self._file.write_text(self._secret)

    def token(self, user, seconds):
        """A new token that may hear everything, for so long."""
        now = int(time.time())
        claims = {"sub": user, "iat": now, "exp": now + seconds, "subscribe": [">"], "history": [">"]}
        parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        signature = hmac.digest(self._secret.encode(), ".".join(parts).encode(), "sha256")
        return ".".join([*parts, base64url(signature)])

    def settings(self):
        """The part of a configuration that accepts both. The key may publish, read and manage everything."""
        key_hash = hashlib.sha256(self.key.encode()).hexdigest()
        return f"""\
[tokens]
keys = [{{ secret_file = "{self._file}" }}]
query = true
[[api_keys]]
id = "test"
key_hash = "sha256:{key_hash}"
publish = [">"]
history = [">"]
manage = true
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
