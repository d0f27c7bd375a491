"""A transport on libcurl, by way of pycurl: one thread sends all status requests, over HTTP/2 if the server has it.

vidpoll.Client(transport="curl")        # or VIDPOLL_TRANSPORT=curl, or vidpoll wait --transport curl …
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import vidpoll

if TYPE_CHECKING:
    from .transport import CurlTransport

__all__ = ["curl_transport", "vidpoll_transports"]


@vidpoll.hookimpl
def vidpoll_transports() -> Mapping[str, Callable[[], CurlTransport]]:
    return {"curl": curl_transport}


def curl_transport() -> CurlTransport:
    """A transport for one client. Raises ConfigurationError if pycurl is missing, or lacks a needed feature."""
    try:
        import pycurl
    except ImportError as error:
        raise vidpoll.ConfigurationError(
            f"the transport curl needs pycurl, which cannot be imported ({type(error).__name__}): pip install pycurl"
        ) from None
    if lacking := _lacking(pycurl):
        raise vidpoll.ConfigurationError(
            f"the transport curl needs {lacking}, which this pycurl's libcurl lacks: install pycurl's wheel, which "
            "includes libcurl: pip install --force-reinstall --only-binary :all: pycurl"
        )
    from .transport import CurlTransport

    return CurlTransport()


def _lacking(pycurl: Any) -> str:
    """The needed features that this pycurl lacks, as text; empty if it has them all."""
    features = pycurl.version_info()[4]
    needed = {
        "TLS": pycurl.VERSION_SSL,
        "HTTP/2": pycurl.VERSION_HTTP2,
        "lookups that do not block": pycurl.VERSION_ASYNCHDNS,
    }
    lacking = [name for name, bit in needed.items() if not features & bit]
    if not hasattr(pycurl, "PREREQFUNCTION"):
        lacking.append("pycurl.PREREQFUNCTION")
    return " and ".join(lacking)
