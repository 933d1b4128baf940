"""Imported by every Python process of a test: refuses and notes what leaves the loopback."""

import os
import sys

LOOPBACK = (None, "", "127.0.0.1", "::1", "localhost", "0.0.0.0")


def audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo":
        place = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if not isinstance(address, tuple):
            return  # a socket of this machine's file system
        place = address[0]
    else:
        return
    place = place.decode() if isinstance(place, bytes) else place
    if place in LOOPBACK:
        return
    handle = os.open(os.environ["NETWORK_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{event} {place} in {sys.argv[:3]}\n".encode())
    os.close(handle)
    raise PermissionError(f"{event} {place}: this test refuses the network")


sys.addaudithook(audit)
