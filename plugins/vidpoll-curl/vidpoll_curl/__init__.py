"""A transport on libcurl, by way of pycurl: one thread asks for all jobs, over HTTP/2 where the server speaks it.

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
    """A transport for one client. Raises ConfigurationError where pycurl is missing or cannot do what is needed."""
    try:
        import pycurl
    except ImportError as error:
        raise vidpoll.ConfigurationError(
            f"the transport curl needs pycurl, which does not import ({type(error).__name__}): pip install pycurl"
        ) from None
    if lacking := _lacking(pycurl):
        raise vidpoll.ConfigurationError(
            f"the transport curl needs {lacking}, and this pycurl has a libcurl without: install its wheel, which "
            "brings one: pip install --force-reinstall --only-binary :all: pycurl"
        )
    from .transport import CurlTransport

    return CurlTransport()


def _lacking(pycurl: Any) -> str:
    """What libcurl was built without; empty where all is there."""
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
