"""--forward: connections to an address of this machine, led over a channel to the same address in the box, one
after the other. kvmbox.d/lead is the other end, and says what the frames are."""
import os
import select
import socket
import stat
import struct

from trouble import Trouble, EXIT_BOX, EXIT_USAGE

OPEN, CLOSE = 0xFFFFFFFF, 0


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
    def __init__(self, address, channel):
        self.server, self.path = listen(address)
        self.channel, self.connection, self.heard = channel, None, b""
        os.set_blocking(channel, True)

    def events(self):
        who = self.connection or self.server
        return [(who.fileno(), select.POLLIN), (self.channel, select.POLLIN)]

    def step(self, ready):
        if self.channel in ready:
            self.hear()
        if not self.connection and self.server.fileno() in ready:
            self.connection, _ = self.server.accept()
            self.send(OPEN)
        elif self.connection and self.connection.fileno() in ready:
            try:
                data = self.connection.recv(65536)
            except OSError:
                data = b""
            self.send(len(data), data)  # no data: CLOSE
            if not data:
                self.hang_up()

    def send(self, length, data=b""):
        data = struct.pack(">I", length) + data
        while data:
            data = data[os.write(self.channel, data):]

    def hear(self):
        self.heard += os.read(self.channel, 65536)
        while len(self.heard) >= 4:
            length, = struct.unpack(">I", self.heard[:4])
            if len(self.heard) < 4 + length:
                return
            data, self.heard = self.heard[4:4 + length], self.heard[4 + length:]
            if length == CLOSE:
                self.hang_up()
            elif self.connection:
                try:
                    self.connection.sendall(data)
                except OSError:
                    self.send(CLOSE)
                    self.hang_up()

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def close(self):
        self.hang_up()
        self.server.close()
        if self.path:
            try:
                os.unlink(self.path)
            except OSError:
                pass
