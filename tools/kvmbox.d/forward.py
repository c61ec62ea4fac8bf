"""--forward: connections to an address of this machine, led over a channel to the same address in the box, where
kvmbox.d/lead is the other end."""
import os
import select
import socket
import stat

from channel import Channel
from trouble import Trouble, EXIT_BOX, EXIT_USAGE

MOST = 64  # connections at once; others wait


def listen(address):
    """A socket that listens there; for a UNIX socket also its path, which is ours to remove."""
    host, _, port = address.rpartition(":")
    if "/" not in address and port.isdigit():
        if host not in ("", "localhost") and not host.startswith("127."):
            raise Trouble(EXIT_USAGE, f"--forward {address}: only this machine itself may connect: 127.0.0.1")
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        where, path = (host or "127.0.0.1", int(port)), None
    else:
        made, where, path = socket.socket(socket.AF_UNIX), address, address
        remove_stale(address)
    mask = os.umask(0o177)
    try:
        made.bind(where)
        made.listen(4)
    except (OSError, OverflowError) as error:
        raise Trouble(EXIT_BOX, f"--forward {address}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        os.umask(mask)
    return made, path


def remove_stale(path):
    """A socket there that nobody listens on any more."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise Trouble(EXIT_BOX, f"--forward {path}: there is a file of this name, and it is no socket")
    except OSError:
        return
    with socket.socket(socket.AF_UNIX) as other:
        try:
            other.connect(path)
        except OSError:
            os.unlink(path)


class Forward:
    """Connections to this address, led over the channel (channel.py), to their end."""

    def __init__(self, address, descriptor):
        self.server, self.path = listen(address)
        self.server.setblocking(False)
        self.channel, self.last = Channel(descriptor), 0

    def events(self):
        full = len(self.channel.connections) >= MOST
        return ([] if full else [(self.server.fileno(), select.POLLIN)]) + self.channel.events()

    def step(self, ready):
        if self.server.fileno() in ready:
            try:
                made, _ = self.server.accept()
                self.last += 1
                self.channel.open(self.last, made)
            except OSError:
                pass  # it is gone already
        self.channel.step(ready)

    def close(self):
        self.channel.close()
        self.server.close()
        if self.path:
            try:
                os.unlink(self.path)
            except OSError:
                pass
