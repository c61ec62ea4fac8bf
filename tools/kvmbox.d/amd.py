"""The emulated AMD machine: QEMU without acceleration, emulated SVM.

It is booted once and saved: its memory is a file that each later start maps copy-on-write, so that little is
read, and the rest of its state a stream that QEMU takes in. At that moment it waits for a line on its control
channel; what a run brings comes on a drive that nobody in the machine has opened yet.

Nothing of a run has a name in the file system: channels are socket pairs, the drive a file without a name, and
the emulator ends with this process, however that ends.
"""
import ctypes
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import namedtuple

from store import key_of
from trouble import Trouble, EXIT_BOX, last_words

CPU = "EPYC-Milan,+svm,+npt"
DRIVE_SIZE = 2 << 30   # of a run's files; the machine has been told, so it is the same for all (sparse)
BOOT_LIMIT = 60        # seconds: a boot not done by then will never be; it takes about 4
KEPT = 8               # saved machines (120 MB each): the least used ones go
RESTORE_LIMIT = 15     # seconds until the saved machine answers; it takes a tenth of one

# console and loglevel: enough to see why a boot failed, little enough to cost nothing.
# panic=0: a kernel that panics stays, and kvmbox sees it in the kernel messages.
KERNEL_ARGS = "console=ttyS0,115200 loglevel=6 panic=0 cryptomgr.notests kvmbox=amd"

# --coarse: no timers but the periodic tick's. If one is due just after VMRUN has injected an interrupt, QEMU may deliver
# that a second time (helper_vmrun of 7.2 leaves its vector where the next slice begins).
COARSE_ARGS = " highres=off nohz=off"

# --exact: a nanosecond an instruction. What the machine waits for takes our time: with sleep=off its clock would go
# on to its next timer at once, again and again, and reading some 100 MB from a drive took 570 s of its time.
EXACT = "shift=0,sleep=on"

# Ports of the machine's serial bus, by number; 0 is its terminal.
PORTS = {"control": 1, "stdin": 2, "stdout": 3, "stderr": 4, "forward": 5}

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def kernel_args(options):
    return KERNEL_ARGS + (COARSE_ARGS if options.coarse else "") + options.append


def end_with_parent():
    """Of a child: it is killed with this process, even if that is killed itself. It is a session of its own, so
    that a terminal's Ctrl-C comes to this process alone."""
    parent = os.getppid()
    os.setsid()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if os.getppid() != parent:
        os._exit(1)


class Machine:
    """A QEMU that runs: channels maps the names of PORTS, "terminal" and "qmp" to sockets, whose
    descriptors have the same names; died is a descriptor that can be read when it has ended."""

    def __init__(self, options, parts, drives, memory, state=None):
        """parts: Parts. drives: descriptors for reading, two. memory: the file of the machine's RAM. state: the file
        of the state that it is to go on from; without one it is to boot, and its memory to go into that file."""
        self.channels, ends = {}, {}
        for name in ("terminal", "qmp", *PORTS):
            self.channels[name], ends[name] = socket.socketpair()
        self.log = os.memfd_create("emulator.log")
        # A file, not a socket: a socket takes some 300 writes of a byte each, and then a panic's words would be lost.
        self.messages = os.memfd_create("kernel.log")
        words = self.words(options, parts, drives, memory, state is None, {name: end.fileno() for name, end in ends.items()},
                           self.messages)
        self.state = None if state is None else os.open(state, os.O_RDONLY)
        passed = [*drives, self.messages, *(end.fileno() for end in ends.values())] + ([] if state is None else [self.state])
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        pass_fds=passed, preexec_fn=end_with_parent)
        for end in ends.values():
            end.close()
        if self.state is not None:
            os.close(self.state)
        self.died = os.pidfd_open(self.process.pid)
        for name in ("control", "stdin", "stdout", "stderr", "terminal", "forward"):
            setattr(self, name, self.channels[name].fileno())
        self.qmp_input = self.channels["qmp"].makefile("r", encoding="utf-8")

    @staticmethod
    def words(options, parts, drives, memory, boots, ends, messages):
        share = "on" if boots else "off"
        words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-S",
                 "-accel", "tcg,thread=single", "-cpu", options.cpu or CPU, "-smp", str(options.smp),
                 "-m", str(options.memory), "-machine", "pc,memory-backend=ram",
                 "-object", f"memory-backend-file,id=ram,size={options.memory}M,mem-path={memory},share={share}",
                 "-kernel", f"{parts.kernel}/vmlinux", "-initrd", f"{parts.base}/base.cpio", "-append", kernel_args(options),
                 "-device", "virtio-serial"]
        if options.exact:
            words += ["-icount", EXACT]
        for name, end in ends.items():
            words += ["-chardev", f"socket,id={name},fd={end}"]
        words += ["-chardev", f"file,id=console,path=/proc/self/fd/{messages},append=on", "-serial", "chardev:console",
                  "-mon", "chardev=qmp,mode=control", "-device", "virtconsole,chardev=terminal,nr=0"]
        for name, number in PORTS.items():
            words += ["-device", f"virtserialport,chardev={name},nr={number}"]
        files = [f"{parts.userland}/root.squashfs"]
        for drive in drives:
            words += ["-add-fd", f"fd={drive},set={drive}"]
            files.append(f"/dev/fdset/{drive}")
        for index, file in enumerate(files):
            words += ["-drive", f"file={file},format=raw,if=none,id=drive{index},readonly=on,file.locking=off",
                      "-device", f"virtio-blk,drive=drive{index}"]
        if not boots:
            words += ["-incoming", "defer"]
        return words

    def qmp(self, command, **arguments):
        """What QEMU answers. Trouble if it refuses, or is gone."""
        text = json.dumps({"execute": command, "arguments": arguments})
        try:
            self.channels["qmp"].sendall(text.encode() + b"\n")
            while line := self.qmp_input.readline():
                answer = json.loads(line)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise Trouble(EXIT_BOX, f"QEMU refuses {command}: {answer['error'].get('desc')}", self.last_words())
        except (OSError, ValueError):
            pass
        raise Trouble(EXIT_BOX, "the emulator ended", self.last_words())

    def wait_for(self, what, done, limit):
        """Asks done() until it says so."""
        end = time.monotonic() + limit
        while not done():
            if time.monotonic() > end:
                raise Trouble(EXIT_BOX, f"the AMD box did not {what} in {limit} s", self.last_words())
            time.sleep(0.001)

    def prepare(self):
        self.qmp("qmp_capabilities")
        self.qmp("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])

    def restore(self):
        """Takes the state in and lets the machine go."""
        self.prepare()
        self.qmp("migrate-incoming", uri=f"fd:{self.state}")
        self.wait_for("start", lambda: self.qmp("query-status")["status"] != "inmigrate", RESTORE_LIMIT)
        self.qmp("cont")
        self.channels["control"].sendall(b"go\n")

    def boot(self):
        """Boots up to where the machine waits for a run."""
        self.prepare()
        self.qmp("cont")
        control, heard = self.channels["control"], b""
        control.settimeout(0.5)
        began = time.monotonic()
        while not heard.endswith(b"\n"):
            if time.monotonic() - began > BOOT_LIMIT:
                raise TimeoutError
            try:
                heard += control.recv(200)
            except TimeoutError:
                pass
            if self.process.poll() is not None:
                raise Trouble(EXIT_BOX, "the emulator ended", self.last_words())
            if panicked(self.console()):
                raise Trouble(EXIT_BOX, "the AMD box's kernel failed", self.last_words())
        if heard != b"ready\n":
            raise Trouble(EXIT_BOX, f"the AMD box said '{heard.decode(errors='replace').strip()}'", self.last_words())

    def save(self, state):
        self.qmp("stop")
        self.qmp("migrate", uri=f"exec:cat > {shlex.quote(state)}")
        self.wait_for("save itself", lambda: self.qmp("query-migrate").get("status") in ("completed", "failed"), 60)
        if self.qmp("query-migrate")["status"] != "completed":
            raise Trouble(EXIT_BOX, "the AMD box could not be saved", self.last_words())

    def end_of_input(self):
        self.channels["stdin"].shutdown(socket.SHUT_WR)

    def failed(self):
        """Whether the kernel has ended."""
        return panicked(self.console())

    heard = b""

    def console(self):
        """What the kernel has said so far (the last 64 KiB). Of a flood no more is kept than comes between two looks."""
        size = os.fstat(self.messages).st_size
        text = (self.heard + os.pread(self.messages, 65536, max(0, size - 65536)))[-65536:]
        if size > 1 << 20:
            os.ftruncate(self.messages, 0)
            self.heard = text
        return text

    def last_words(self):
        """QEMU's remarks on CPU features are no cause."""
        self.process.poll()
        os.lseek(self.log, 0, os.SEEK_SET)
        log = [line for line in os.read(self.log, 1 << 16).splitlines() if b"TCG doesn't support requested feature" not in line]
        return last_words(kernel=self.console(), emulator=b"\n".join(log))

    def end(self):
        self.process.kill()
        self.process.wait()
        for channel in self.channels.values():
            channel.close()
        os.close(self.died)
        os.close(self.messages)
        os.close(self.log)


def panicked(text):
    """Whether these messages tell of the end of a kernel, or of kvmbox.d/init."""
    return b"Kernel panic" in text or b"] BUG: " in text or b"kvmbox failed: " in text


Parts = namedtuple("Parts", "kernel base userland")  # the folders of what a machine is made of (store.py)


def saved(store, options):
    """Parts, and the folder of the machine that these options ask for: memory and state, saved behind its boot."""
    kernel = store.kernel()
    parts = Parts(kernel, store.base(kernel, "amd"), store.userland())
    emulator = shutil.which("qemu-system-x86_64")
    if not emulator:
        raise Trouble(EXIT_BOX, "no qemu-system-x86_64 here: install qemu-system-x86")
    was = os.stat(emulator)
    names = [os.path.basename(path) for path in (parts.kernel, parts.base, parts.userland)]
    key = key_of(names, emulator, was.st_size, was.st_mtime_ns, options.cpu or CPU, options.smp, options.memory,
                 kernel_args(options), options.exact and EXACT, PORTS, DRIVE_SIZE)

    def make(folder):
        store.say.note("booting the AMD box, once")
        try:
            boot_and_save(options, parts, folder)
        except TimeoutError:
            try:
                boot_and_save(options, parts, folder)
            except TimeoutError:
                raise Trouble(EXIT_BOX, f"the AMD box did not boot, twice, in {BOOT_LIMIT} s each") from None

    folder = store.entry("amd", key, make)
    store.forget("amd", KEPT)
    return parts, folder


def boot_and_save(options, parts, folder):
    with open(f"{folder}/memory", "wb") as memory:
        memory.truncate(options.memory << 20)
    with nameless(folder) as file, Drives(file, file) as drives:
        machine = Machine(options, parts, drives, f"{folder}/memory", state=None)
        try:
            machine.boot()
            machine.save(f"{folder}/state")
        finally:
            machine.end()


def nameless(folder):
    """A file without a name on the disk of this folder."""
    return tempfile.TemporaryFile(dir=folder)


class Drives:
    """Descriptors for reading of these open files, made as large as the machine was told that they are."""

    def __init__(self, *files):
        self.files, self.opened = files, []

    def __enter__(self):
        for file in self.files:
            if os.fstat(file.fileno()).st_size != DRIVE_SIZE:
                file.truncate(DRIVE_SIZE)
            self.opened.append(os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY))
        return self.opened

    def __exit__(self, *_):
        for opened in self.opened:
            os.close(opened)


def start(store, options, cargo, texts):
    """A machine of its own for this run, let go, with the run's files (Cargo, and its texts) on its drives."""
    parts, folder = saved(store, options)

    def make_kept(where):
        cargo.write_kept(f"{where}/kept.squashfs")
        os.truncate(f"{where}/kept.squashfs", DRIVE_SIZE)

    kept = store.entry("cargo", key_of(cargo.kept_key(), DRIVE_SIZE), make_kept)
    store.forget("cargo", KEPT)
    with nameless(store.folder) as own, open(f"{kept}/kept.squashfs", "rb") as kept:
        with Drives(kept, own) as drives:
            machine = Machine(options, parts, drives, f"{folder}/memory", f"{folder}/state")
        try:
            # While QEMU starts; nobody in the machine reads it yet.
            cargo.write_own(f"/proc/self/fd/{own.fileno()}", texts)
            own.truncate(DRIVE_SIZE)
            machine.restore()
        except BaseException:
            machine.end()
            raise
    return machine
