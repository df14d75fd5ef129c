"""Where the page answers and to whom, settled before any model is loaded and before Gradio is imported."""

import importlib.util
import os
import socket
from ipaddress import IPv6Address, ip_address

from brain_tumor.command_line import pip_install
from brain_tumor.config.commands import PASSWORD, AppConfig
from brain_tumor.errors import InputError


def require_gradio() -> None:
    """Raise InputError where Gradio is missing, and settle what it reads from the environment once it is imported."""
    if importlib.util.find_spec("gradio") is None:
        raise InputError(f"the page needs Gradio: {pip_install('brain-tumor[app]')}")
    stay_at_home()


def stay_at_home() -> None:
    """Settle, before Gradio is imported, that nothing is sent anywhere: no analytics, no look for newer versions."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for name in ("GRADIO_SHARE", "GRADIO_ALLOWED_PATHS", "GRADIO_MCP_SERVER", "GRADIO_DEBUG", "GRADIO_VIBE_MODE"):
        os.environ.pop(name, None)


def login_of(config: AppConfig) -> tuple[str, str] | None:
    """The user and the password that the page asks for; None: nobody is asked."""
    password = os.environ.get(PASSWORD)
    if config.user is None:
        if password:
            raise InputError(f"{PASSWORD} is set, and user= is not: give user=NAME, too, or unset it")
        return None
    if not password:
        raise InputError(f"user={config.user} needs a password in the environment variable {PASSWORD}")
    return config.user, password


def listen(host: str, port: int) -> socket.socket:
    """The socket to answer at, taken before any model is loaded; InputError where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"host={host} port={port}: nothing can listen there ({reason}): give another port=") from error
    return found


def local(place: socket.socket) -> bool:
    """Whether this machine alone can reach a socket: by its address, not by how that was given."""
    return loopback(place.getsockname()[0])


def loopback(host: str) -> bool:
    """Whether this names this machine for itself alone, however it is spelt."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
