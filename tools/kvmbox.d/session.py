"""A run: what goes between the caller and the command in the box until it has ended and its files are out."""
import os
import select
import signal
import stat
import sys
import tempfile
import termios
import time
import tty

import amd
import options as words
from cargo import Cargo
from newfile import NewFile
from debian import run
from store import DPKG_STATUS, Store, stamp
from trouble import EXIT_BOX, EXIT_PIPE, EXIT_TIMEOUT, Say, Trouble

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
LAST_SECONDS = 20  # that a command whose time is up, and its files, get to come out


class Ended(Exception):
    """A signal that the command cannot take: there is none yet, or it was told before."""


class Signals:
    """Those that end a program. Once it has a listener, each is handed on; before, it ends kvmbox."""

    def __init__(self):
        self.listener = None
        self.seen = []
        self.wake, end = os.pipe()
        os.set_blocking(end, False)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.take)
        signal.signal(signal.SIGWINCH, lambda *_: None)  # wakes

    def take(self, number, _):
        self.seen.append(number)
        if len(self.seen) > 1 or not self.listener:
            raise Ended(number)
        self.listener(signal.Signals(number).name[3:])


class Pipe:
    """Bytes from one descriptor to another; what cannot be written yet waits, and nothing is read meanwhile."""

    def __init__(self, source, sink, at_end=None):
        self.source, self.sink, self.at_end = source, sink, at_end
        self.waiting = b""

    def events(self):
        if self.waiting:
            return [(self.sink, select.POLLOUT)]
        return [(self.source, select.POLLIN)] if self.source is not None else []

    def step(self):
        """One read or write, whichever is due. No read of more than what a pipe that can be written takes."""
        if not self.waiting and self.source is not None:
            try:
                self.waiting = os.read(self.source, 4096)
            except BlockingIOError:
                return False
            except OSError:
                self.waiting = b""
            if not self.waiting:
                self.source = None
                if self.at_end:
                    self.at_end()
                return False
        if not self.waiting:
            return False
        try:
            self.waiting = self.waiting[os.write(self.sink, self.waiting):]
        except BlockingIOError:
            return False
        return True

    def drain(self, deadline):
        """All that is there now."""
        os.set_blocking(self.source, False) if self.source is not None else None
        while time.monotonic() < deadline:
            if self.waiting:
                poll = select.poll()
                poll.register(self.sink, select.POLLOUT)
                poll.poll(100)
            if not self.step() and not self.waiting:
                return


class Terminal:
    """The caller's terminal, raw while the command has it."""

    def __init__(self, reads):
        self.reads, self.former = reads, None

    def __enter__(self):
        if self.reads:
            self.former = termios.tcgetattr(0)
            tty.setraw(0)
        return self

    def __exit__(self, *_):
        if self.former:
            termios.tcsetattr(0, termios.TCSADRAIN, self.former)

    @staticmethod
    def size():
        """Columns and rows."""
        try:
            columns, rows = os.get_terminal_size(1)
        except OSError:
            columns, rows = 0, 0
        return columns or 80, rows or 24


class Session:
    def __init__(self, options, say, signals, machine, terminal):
        self.options, self.say, self.signals, self.machine = options, say, signals, machine
        self.began, self.started, self.status, self.over = time.monotonic(), False, None, False
        self.limit = self.began + options.timeout
        self.late = False                       # the time is up, the command was told to end
        self.heard = b""                        # of the control channel
        self.receiving = None
        self.missing = []
        self.terminal, self.size = terminal, Terminal.size()
        self.pipes = [Pipe(machine.stdout, 1), Pipe(machine.stderr, 2)]
        if terminal:
            self.pipes.append(Pipe(machine.terminal, 1))
            if terminal.reads:
                self.pipes.append(Pipe(0, machine.terminal))
        elif options.interactive:
            self.pipes.append(Pipe(0, machine.stdin, at_end=machine.end_of_input))
        self.forward = None
        if options.forward:
            from forward import Forward
            self.forward = Forward(options.forward, machine.forward)
        os.set_blocking(machine.control, False)

    # ---- the loop ---------------------------------------------------------------------------------------

    def run(self):
        """The command's exit status."""
        self.signals.listener = lambda name: self.tell(f"signal {name}")
        try:
            while not self.over:
                self.turn()
        finally:
            if self.receiving:
                self.receiving.drop()
            if self.forward:
                self.forward.close()
        for pipe in self.pipes[:3 if self.terminal else 2]:
            pipe.drain(time.monotonic() + 5)
        if self.missing:
            self.say.line("the command left no " + " ".join(self.missing))
            self.status = self.status or EXIT_BOX
        return EXIT_TIMEOUT if self.late else self.status

    def turn(self):
        poll, wants = select.poll(), {}
        sources = [(self.machine.control, select.POLLIN), (self.machine.died, select.POLLIN), (self.signals.wake, select.POLLIN)]
        for pipe in self.pipes:
            sources += pipe.events()
        if self.forward:
            sources += self.forward.events()
        for descriptor, event in sources:
            wants[descriptor] = wants.get(descriptor, 0) | event
        wants.setdefault(1, 0)  # whether its reader is still there
        for descriptor, events in wants.items():
            poll.register(descriptor, events)
        ready = dict(poll.poll(500))
        if ready.get(1, 0) & select.POLLERR and not stat.S_ISREG(os.fstat(1).st_mode):
            raise Trouble(EXIT_PIPE, "")
        if self.signals.wake in ready:
            os.read(self.signals.wake, 4096)
            self.tell_size()
        for pipe in self.pipes:
            if any(descriptor in ready for descriptor, _ in pipe.events()):
                pipe.step()
        if self.forward:
            self.forward.step(ready)
        if self.machine.control in ready:
            self.listen()
        if not self.over:
            self.check(self.machine.died in ready)

    def check(self, died):
        """Whether there is still something to wait for."""
        now = time.monotonic()
        stage = "command" if self.started else "boot"
        if died and not self.over:
            self.fail(f"the emulator ended, stage: {stage}")
        if self.machine.failed():
            time.sleep(0.5)  # for the rest of what the kernel has to say
            self.fail(f"the box's kernel failed, stage: {stage}")
        if now > self.limit + LAST_SECONDS:
            self.say.line("the box did not answer any more: no files come out")
            raise Trouble(EXIT_TIMEOUT, "")
        if now > self.limit and not self.late:
            self.say.line(f"time limit of {self.options.timeout} s reached, stage: {stage}")
            if not self.started or self.status is not None:
                raise Trouble(EXIT_TIMEOUT, "")
            self.late = True
            self.tell("signal TERM")
        if self.late and now > self.limit + 2 and self.status is None:
            self.tell("signal KILL")
        if not self.started:
            self.say.progress(f"{self.options.box} box: boot, {now - self.began:.0f} s")

    def fail(self, text):
        raise Trouble(EXIT_BOX, text, self.machine.last_words())

    def tell(self, text):
        try:
            os.write(self.machine.control, text.encode() + b"\n")
        except OSError:
            pass  # it does not listen any more

    def tell_size(self):
        if self.terminal and (size := Terminal.size()) != self.size:
            self.size = size
            self.tell(f"size {size[1]} {size[0]}")

    # ---- what the box says ----------------------------------------------------------------------------------

    def listen(self):
        try:
            data = os.read(self.machine.control, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.fail("the box ended its control channel")
        self.heard += data
        while self.heard and not self.over:
            if self.receiving:
                self.heard = self.receiving.take(self.heard)
                if self.receiving.left == 0:
                    self.keep(self.receiving)
                    self.receiving = None
            elif b"\n" in self.heard:
                line, self.heard = self.heard.split(b"\n", 1)
                self.obey(line.decode(errors="replace").strip("\r"))
            else:
                return

    def obey(self, line):
        word, *rest = line.split(" ")
        if word == "start" and not rest:
            self.started = True
            self.say.clear()
            self.say.note(f"{self.options.box} box is up after {time.monotonic() - self.began:.1f} s")
        elif word == "fail":
            self.fail(" ".join(rest))
        elif word == "end":
            self.over = True
        elif word == "status" and rest[0].isdigit():
            self.status = int(rest[0])
        elif word in ("file", "folder", "nofile") and rest[0].isdigit() and int(rest[0]) < len(self.options.gets):
            get = self.options.gets[int(rest[0])]
            if word == "nofile":
                self.missing += [get.name] if get.needed else []
            else:
                self.receiving = Arrival(get, word, int(rest[1]))
                if self.receiving.left == 0:
                    self.keep(self.receiving)
                    self.receiving = None
        else:
            self.fail(f"the box said '{line[:200]}'")

    def keep(self, arrival):
        try:
            arrival.keep()
        except OSError as error:
            arrival.drop()
            self.say.line(f"cannot write {arrival.get.local} (--get): {error.strerror or error}")
            self.status = self.status or EXIT_BOX


class Arrival:
    """A file or folder that comes out: first into a file without a name, then whole to where it belongs, so that
    what was there stays as it was if anything goes wrong."""

    def __init__(self, get, kind, size):
        self.get, self.kind, self.left = get, kind, size
        self.error, self.new = None, None
        try:
            # Through links to the file itself; a folder is unpacked beside its place.
            self.target = os.path.realpath(get.local)
            place = os.path.dirname(self.target)
            if kind == "folder":
                self.file = tempfile.TemporaryFile(dir=place)
            elif os.path.exists(self.target) and not os.path.isfile(self.target):
                self.file = open(self.target, "wb")  # a device, a FIFO, /dev/stdout
            else:
                self.file = self.new = NewFile(self.target)
        except OSError as error:
            self.error, self.file = error, None

    def take(self, data):
        """Of these bytes what is its own; the rest comes back."""
        mine, rest = data[:self.left], data[self.left:]
        self.left -= len(mine)
        if self.file:
            try:
                self.file.write(mine)
            except OSError as error:
                self.error = error
                self.drop()
        return rest

    def keep(self):
        if self.error:
            raise self.error
        if self.kind == "folder":
            self.unpack()
            self.file.close()
        elif self.new:
            mask = os.umask(0)
            os.umask(mask)
            former = os.stat(self.target).st_mode if os.path.exists(self.target) else 0o666 & ~mask
            self.new.keep(stat.S_IMODE(former))
        else:
            self.file.close()

    def unpack(self):
        """Files and folders, and nothing that could lead elsewhere; with the names that lie below this one."""
        import tarfile
        self.file.seek(0)
        try:
            with tarfile.open(fileobj=self.file) as archive:
                self.unpack_members(archive)
        except tarfile.TarError as error:
            raise OSError(str(error)) from None

    def unpack_members(self, archive):
        for member in archive:
            name = os.path.normpath(member.name)
            if name.startswith(("/", "..")) or not (member.isreg() or member.isdir()):
                continue
            path = os.path.join(self.target, name)
            if os.path.realpath(os.path.dirname(path)) != os.path.dirname(os.path.normpath(path)):
                continue  # a link here that leads out
            if member.isdir():
                os.makedirs(path, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self.unpack_file(archive, member, NewFile(path))

    @staticmethod
    def unpack_file(archive, member, new):
        try:
            with archive.extractfile(member) as data:
                while block := data.read(1 << 20):
                    new.write(block)
            new.keep(0o755 if member.mode & 0o100 else 0o644)
        except BaseException:
            new.drop()
            raise

    def drop(self):
        if self.new:
            self.new.drop()
        elif self.file:
            try:
                self.file.close()
            except OSError:
                pass
        self.file = self.new = None


# ---- all of it ----------------------------------------------------------------------------------------------


def same_place(one, other):
    """Whether two descriptors lead to the same file: then what is written must keep its order."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def places(parts):
    """The project's folder, its build folder, and where boxes are kept."""
    top = os.path.dirname(os.path.dirname(parts))
    in_tree = os.path.exists(f"{top}/tools/kvmbox")
    build = os.path.join(top, os.environ.get("BUILD") or "build") if in_tree or os.environ.get("BUILD") else os.getcwd()
    cache = os.environ.get("KVMBOX_CACHE")
    if not cache:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        cache = f"{build}/kvmbox" if in_tree else f"{home}/ringscope/kvmbox"
    return top, os.path.realpath(build), cache


def install(parts, box, store):
    """What a box needs is asked for when dpkg's status, or the list, is another than when all was there."""
    for folder in (os.path.dirname(parts), parts, os.path.dirname(parts) + "/ringscope"):
        if os.path.exists(f"{folder}/install-deps"):
            if not store.known(f"packages-{box}", [stamp(DPKG_STATUS), stamp(f"{folder}/install-deps")]):
                done = run([f"{folder}/install-deps", f"box-{box}"])
                if done.returncode:
                    raise Trouble(EXIT_BOX, f"the {box} box lacks packages", done.stderr)
                sys.stderr.write(done.stderr)
                store.know(f"packages-{box}", [stamp(DPKG_STATUS), stamp(f"{folder}/install-deps")])
            return


def begin(options, parts, say, signals):
    top, build, cache = places(parts)
    store = Store(cache, parts, say)
    install(parts, options.box, store)
    if options.prepare:
        print(amd.saved(store, options)[1])
        return 0
    has_terminal = options.box == "amd" and os.isatty(1)
    reads = has_terminal and os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    one_output = same_place(1, 2)
    cargo = Cargo(options, top, build)
    texts = cargo.texts(parts, has_terminal, one_output, Terminal.size())
    if options.box == "amd":
        box = amd
    else:
        import intel as box
    machine = box.start(store, options, cargo, texts)
    try:
        with Terminal(reads) as terminal:
            return Session(options, say, signals, machine, terminal if has_terminal else None).run()
    finally:
        if options.log:
            keep_log(options.log, machine, say)
        machine.end()


def keep_log(path, machine, say):
    try:
        with open(path, "wb") as file:
            file.write(machine.console())
    except OSError as error:
        say.line(f"cannot write {path} (--log): {error.strerror}")


def main(arguments, parts):
    say = Say()
    hold_standard_streams()
    signals = Signals()
    try:
        options = words.parse(arguments)
        if options is None:
            sys.stdout.write(words.USAGE)
            sys.stdout.flush()
            return 0
        say.quiet = options.quiet
        return begin(options, parts, say, signals)
    except Trouble as trouble:
        if trouble.text:
            say.line(trouble.text)
        if trouble.details:
            sys.stderr.write(trouble.details.rstrip("\n") + "\n")
        return trouble.status
    except Ended as ended:
        say.clear()
        return 128 + int(ended.args[0])
    except BrokenPipeError:
        return EXIT_PIPE
    except OSError as error:
        say.line(f"{error.filename or 'the box'}: {error.strerror or error}")
        return EXIT_BOX


def hold_standard_streams():
    """A closed one is /dev/null, or a file that is opened later would take its place."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.dup2(os.open("/dev/null", os.O_RDWR), descriptor)
