"""A real OIDC issuer on this machine: discovery document, key set, and tokens signed with its keys."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "headwater-of-the-shop"
SUBJECT = "till 7"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Issuer:
    """Signs tokens, and tells its public keys to whoever asks.

    Attributes
    ----------
    keys: by key id; what is not here is not told.
    asked: how often for the key set.
    away: whether it answers with errors.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, PrivateKey] = {"rsa": rsa_key(), "ec": ec.generate_private_key(ec.SECP256R1())}
        self.asked = 0
        self.away = False

    def token(self, key_id: str = "rsa", algorithm: str = "RS256", key: Any = None, **claims: Any) -> str:
        """A token with these claims over the usual ones; None leaves one out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": SUBJECT, "scope": "recommend", "iat": now, "exp": now + 60}
        kept = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(kept, self.keys[key_id] if key is None else key, algorithm, headers={"kid": key_id})

    def document(self, path: str) -> dict[str, Any] | None:
        """What it answers."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            self.asked += 1
            return {"keys": [public(key_id, key) for key_id, key in self.keys.items()]}
        return None


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def public(key_id: str, key: PrivateKey) -> dict[str, Any]:
    """The public half as a JSON Web Key."""
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    told = json.loads(algorithm.to_jwk(key.public_key()))  # type: ignore[arg-type]
    return {**told, "kid": key_id, "use": "enc" if key_id.startswith("enc") else "sig"}


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = None if issuer.away else issuer.document(self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
