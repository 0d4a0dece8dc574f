"""PyLTI1p3 2.0.0 with Flask as its example has it, served by gunicorn. Runs in benchmarks/.venv.

Three favours: the tool configuration is read once, not at each request; no page that tries out cookies; the page at
the end is one line. The environment says which configuration:
    PEER_REDIS         redis URL for Flask-Caching; without it the in-process cache
    PEER_KEY_CACHING   1 = keep the platform's key set (`set_public_key_caching`), which the library does not by default
    PEER_CONFIG        the tool configuration as JSON, in the library's own form
    PEER_SECRET        signs Flask's session cookie
"""

from __future__ import annotations

import json
import os

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from flask import Flask, request
from flask_caching import Cache
from pylti1p3.contrib.flask import FlaskCacheDataStorage, FlaskMessageLaunch, FlaskOIDCLogin, FlaskRequest
from pylti1p3.tool_config import ToolConfDict

KEY_CACHING = os.environ.get("PEER_KEY_CACHING") == "1"

app = Flask("pylti1p3-peer")
app.config.from_mapping(
    CACHE_TYPE="RedisCache" if "PEER_REDIS" in os.environ else "SimpleCache",
    CACHE_REDIS_URL=os.environ.get("PEER_REDIS"),
    CACHE_DEFAULT_TIMEOUT=600,
    CACHE_THRESHOLD=100_000,
    SECRET_KEY=os.environ["PEER_SECRET"],  # the workers share it
)
cache = Cache(app)


def tool_configuration() -> ToolConfDict:
    settings = json.loads(os.environ["PEER_CONFIG"])
    configuration, key = ToolConfDict(settings), rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for issuer, clients in settings.items():
        for client in clients:
            configuration.set_private_key(issuer, private, client_id=client["client_id"])
            configuration.set_public_key(issuer, public, client_id=client["client_id"])
    return configuration


tool_conf = tool_configuration()


@app.route("/lti/login", methods=["GET", "POST"])
def login():
    oidc_login = FlaskOIDCLogin(FlaskRequest(), tool_conf, launch_data_storage=FlaskCacheDataStorage(cache))
    return oidc_login.redirect(request.values["target_link_uri"])


@app.route("/lti/launch", methods=["POST"])
def launch():
    storage = FlaskCacheDataStorage(cache)
    message = FlaskMessageLaunch(FlaskRequest(), tool_conf, launch_data_storage=storage)
    if KEY_CACHING:
        message.set_public_key_caching(storage, cache_lifetime=7200)
    return f"<!doctype html><title>Launched {message.get_launch_data()['name']}</title>"
