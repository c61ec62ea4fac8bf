"""Connections, any number at once, led over one channel: what both ends of --forward do alike, forward.py here and
lead in the AMD box.

The channel carries frames: the number of a connection, what is said of it, and a size.
  OPEN          it is a new one
  DATA SIZE     so many bytes follow
  TAKEN SIZE    so many bytes of it are gone on: as many more may come
  END           no more bytes will come; the other direction stays open
  GONE          it is over in both directions, also what has not gone on yet
No end sends more than WINDOW bytes that have not been TAKEN, so that a connection whose reader sleeps holds up no
other one. A number is used once.
"""
import os
import select
import socket
import struct

OPEN, DATA, TAKEN, END, GONE = range(5)
FRAME = struct.Struct(">IBI")
WINDOW = 1 << 16
FULL = 1 << 18   # bytes that wait for the channel: nothing is read meanwhile


class Connection:
    def __init__(self, made):
        self.made = made            # its socket; None: there is none yet
        self.waiting = bytearray()  # for the socket
        self.window = WINDOW
        self.no_more_in = False     # the other end has said END
        self.no_more_out = False    # this end has


class Channel:
    """opened(number) is called when the other end has opened a connection, which waits for start()."""

    def __init__(self, descriptor, opened=None):
        self.descriptor, self.opened = descriptor, opened
        self.connections, self.heard, self.waiting = {}, bytearray(), bytearray()
        os.set_blocking(descriptor, False)

    def open(self, number, made):
        self.connections[number] = Connection(None)
        self.say(number, OPEN)
        self.start(number, made)

    def start(self, number, made):
        """This connection has this socket."""
        made.setblocking(False)
        self.connections[number].made = made
        self.go_on(number)

    def say(self, number, what, size=0, data=b""):
        self.waiting += FRAME.pack(number, what, size) + data

    def give_up(self, number, tell=True):
        connection = self.connections.pop(number, None)
        if connection and connection.made:
            connection.made.close()
        if connection and tell:
            self.say(number, GONE)

    # ---- what to wait for, and what to do then -------------------------------------------------------------

    def events(self):
        events = [(self.descriptor, select.POLLIN | (select.POLLOUT if self.waiting else 0))]
        for connection in self.connections.values():
            wanted = select.POLLOUT if connection.waiting else 0
            if not connection.no_more_out and connection.window and len(self.waiting) < FULL:
                wanted |= select.POLLIN
            # With nothing wanted a poll tells that the other side is gone, which matters when all was read.
            if connection.made and (wanted or connection.no_more_out):
                events.append((connection.made.fileno(), wanted))
        return events

    def step(self, ready):
        """ready: descriptors, and what poll says of them. False when the channel is at its end."""
        for number, connection in list(self.connections.items()):
            happened = ready.get(connection.made.fileno(), 0) if connection.made else 0
            if happened & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self.read(number, connection, happened)
            if happened & select.POLLOUT and number in self.connections:
                self.go_on(number)
        try:
            if self.descriptor in ready:
                data = os.read(self.descriptor, 1 << 16)
                if not data:
                    return False
                self.heard += data
                self.hear()
        except BlockingIOError:
            pass
        try:
            while self.waiting:
                del self.waiting[:os.write(self.descriptor, self.waiting)]
        except BlockingIOError:
            pass
        return True

    def read(self, number, connection, happened):
        if connection.no_more_out:
            if happened & (select.POLLHUP | select.POLLERR):
                self.give_up(number)
            return
        try:
            data = connection.made.recv(min(connection.window, WINDOW)) if connection.window else None
        except BlockingIOError:
            return
        except OSError:
            self.give_up(number)
            return
        if data:
            connection.window -= len(data)
            self.say(number, DATA, len(data), data)
        elif data is not None:
            connection.no_more_out = True
            self.say(number, END)
            self.end(number, connection)

    def hear(self):
        at = 0
        while len(self.heard) - at >= FRAME.size:
            number, what, size = FRAME.unpack_from(self.heard, at)
            data = b""
            if what == DATA:
                if len(self.heard) - at < FRAME.size + size:
                    break
                data = self.heard[at + FRAME.size:at + FRAME.size + size]
            at += FRAME.size + len(data)
            connection = self.connections.get(number)
            if what == OPEN and self.opened:
                self.connections[number] = Connection(None)
                self.opened(number)
            elif not connection:
                pass  # the rest of one that is over here
            elif what == DATA:
                connection.waiting += data
                self.go_on(number)
            elif what == TAKEN:
                connection.window += size
            elif what == END:
                connection.no_more_in = True
                self.end(number, connection)
            elif what == GONE:
                self.give_up(number, tell=False)
        del self.heard[:at]

    def go_on(self, number):
        """Bytes into the socket."""
        connection = self.connections[number]
        if not connection.made:
            return
        try:
            while connection.waiting:
                sent = connection.made.send(connection.waiting)
                del connection.waiting[:sent]
                self.say(number, TAKEN, sent)
        except BlockingIOError:
            return
        except OSError:
            self.give_up(number)
            return
        self.end(number, connection)

    def end(self, number, connection):
        """What an end of one direction, or of both, leads to."""
        if not connection.made or connection.waiting or not connection.no_more_in:
            return
        if connection.no_more_out:
            self.give_up(number, tell=False)
            return
        try:
            connection.made.shutdown(socket.SHUT_WR)
        except OSError:
            self.give_up(number)

    def close(self):
        for number in list(self.connections):
            self.give_up(number, tell=False)
