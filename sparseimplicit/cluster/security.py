"""Who may talk to a cluster: those with its certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._optional import require
from ..errors import ConfigError


def security_of(given: Any) -> Any:
    """Return a `distributed.Security`, or None where the user said that there is to be none.

    Parameters
    ----------
    given : None, distributed.Security, mapping with ca, cert, key, or False
        None makes certificates for this one cluster, kept in memory.
    """
    dask = require("distributed", extra="dask", purpose="executor Dask")
    if given is False:
        return None
    if given is None:
        require("cryptography", extra="dask", purpose="TLS between the processes of Dask")
        return dask.Security.temporary()
    if isinstance(given, dask.Security):
        return given
    if isinstance(given, Mapping) and set(given) == {"ca", "cert", "key"}:
        ca, cert, key = (str(given[name]) for name in ("ca", "cert", "key"))
        return dask.Security(
            tls_ca_file=ca, require_encryption=True,
            **{f"tls_{role}_cert": cert for role in ("client", "scheduler", "worker")},
            **{f"tls_{role}_key": key for role in ("client", "scheduler", "worker")},
        )  # fmt: skip
    raise ConfigError(
        f"security={given!r} is no certificate.", where="Dask",
        fix="give {'ca': path, 'cert': path, 'key': path}, a distributed.Security, None for "
        "certificates made for this cluster alone, or False for no protection.",
    )  # fmt: skip


def check_protected(address: str, security: Any) -> None:
    """Refuse a cluster in the clear, unless ``security=False`` said so."""
    if address.startswith(("tls://", "inproc://")) or security is False:
        return
    raise ConfigError(
        f"the scheduler at {address} is not protected: whoever reaches it may run code.",
        where="Dask",
        fix="start it with TLS (a tls:// address) and give its certificates as `security`; or say "
        "security=False where nobody else is on that network.",
    )
