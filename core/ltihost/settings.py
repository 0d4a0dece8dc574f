"""Environment -> one frozen `Settings`. Nothing else in the host reads the environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ltihost.errors import ConfigurationError
from ltihost.targets import origin_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_DATABASES = ("sqlite", "postgresql", "postgres")


class Settings(BaseSettings):
    """Everything an operator can set. Each field is the environment variable LTIHOST_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="LTIHOST_", frozen=True, extra="ignore")

    base_url: str = Field(description="The public URL of this host, without a path. https, except on this machine.")
    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///ltihost.db"),
        description="`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME` (the application role).",
    )
    migrate_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL only: the owner's URL, used by `migrate` and by the operator's commands. Default: the main URL.",
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""),
        description="Random text of 32 characters or more. Several, separated by commas: the first seals, all open.",
    )
    secret_key_file: Path | None = Field(default=None, description="A file that holds the secret key(s), one a line.")
    plugins: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        default=None, description="Comma list of the plugin keys to load. Default: all that are installed."
    )
    allow_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="Comma list of private ranges (CIDR) that outbound calls may reach, plain http included.",
    )
    launch_rows_per_minute: int = Field(default=600, description="Refused launches stored per registration and minute.")
    login_rows_per_minute: int = Field(default=60, description="Refused logins stored per minute.")
    api_rate_per_minute: int = Field(default=6000, description="Calls per API key and minute; lists are read at 600.")
    attempt_days: int = Field(
        default=90, ge=1, le=36_500, description="Days for which refused and waiting launches and logins are kept."
    )

    plugin_faults_file: Path | None = Field(
        default=None,
        description="Where a process notes the plugin whose hook blocked it, before it ends and is started anew; a plugin "
        "that stands there is refused. `serve` with several workers makes one for its own run.",
    )

    @field_validator("secret_key_file", "plugin_faults_file", mode="before")
    @classmethod
    def _no_file(cls, value: Any) -> Any:
        return value or None  # an empty text would be the path of the folder

    @field_validator("base_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        value = value.rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("must look like https://lti.example.org")
        if parts.path or parts.query or parts.fragment or parts.username or parts.password:
            raise ValueError("must have no path, query or credentials")
        if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
            raise ValueError("must be https; http serves only for localhost, 127.0.0.1 and [::1]")
        return str(origin_of(value))

    @field_validator("database_url", "migrate_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value and value.get_secret_value().partition(":")[0] not in _DATABASES:
            raise ValueError("must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
        return value

    @field_validator("plugins", mode="before")
    @classmethod
    def _plugin_keys(cls, value: Any) -> Any:
        return tuple(_items(value)) if isinstance(value, str) else value

    @field_validator("allow_networks", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return tuple(_items(value)) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _keys_present(self) -> Settings:
        for key in self.secret_keys:
            if len(key) < 32:
                raise ValueError("LTIHOST_SECRET_KEY must be random text of 32 characters or more")
        if not self.secret_keys:
            raise ValueError(
                "LTIHOST_SECRET_KEY (or LTIHOST_SECRET_KEY_FILE) is required; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
            )
        return self

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys, newest first."""
        keys = _items(self.secret_key.get_secret_value())
        if self.secret_key_file is not None:
            keys += [line.strip() for line in self.secret_key_file.read_text().splitlines() if line.strip()]
        return tuple(keys)

    @property
    def origin(self) -> str:
        """Scheme, host and port as a browser's Origin header has them."""
        return self.base_url

    @property
    def database(self) -> str:
        return self.database_url.get_secret_value()

    @property
    def owner_database(self) -> str:
        return self.migrate_url.get_secret_value() if self.migrate_url else self.database


def load_settings(**overrides: Any) -> Settings:
    """Read the environment. Raises ConfigurationError with one sentence per fault and nothing secret in it."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        faults = "; ".join(_fault(item) for item in error.errors())
        raise ConfigurationError("settings_invalid", faults) from None
    except OSError as error:
        raise ConfigurationError(
            "settings_invalid", f"LTIHOST_SECRET_KEY_FILE: {error.filename} cannot be read: {error.strerror}"
        ) from None


def unknown_variables(environment: Iterable[str]) -> list[tuple[str, str]]:
    """The variables that look like settings and are none, each with a hint at what may have been meant ("" for none).

    They are no fault: container platforms set some for a service of this name.
    """
    known = [f"LTIHOST_{name}".upper() for name in Settings.model_fields]
    strange = sorted(name for name in environment if name.startswith("LTIHOST_") and name not in known)
    near = {name: get_close_matches(name, known, 1) for name in strange}
    return [(name, f"; did you mean {near[name][0]}?" if near[name] else "") for name in strange]


def _fault(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"]).upper()
    if item["type"] == "missing":
        return f"LTIHOST_{name} is required: the URL at which browsers reach this host, like https://lti.example.org"
    text = str(item["msg"]).removeprefix("Value error, ")
    return f"LTIHOST_{name}: {text}" if name else text


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]
