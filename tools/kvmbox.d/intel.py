"""The emulated Intel machine: Bochs with emulated VT-x, EPT and PCIDs.

The kernel and the initramfs, which holds all that a run brings, are put into its memory by Bochs itself, and an
option ROM (bochs-rom.S) starts them. Four serial ports lead out: kernel messages, standard output and standard
error into pipes, and a terminal pair for the control channel, which goes both ways.

It is booted each time, which takes 14 s of CPU time with all that is around it. Bochs 2.7 can save and restore
itself, and its restore was tried by hand: `bochs -r` takes 1.4 s of CPU time, and the machine goes on (a loop that
prints numbers went on with the next one). It is not used for what it does not do:
  - It saves itself by a button of its window only, which the display without a window does not have; the text menu
    and the debugger have no command for it. To try it, gdb called bx_real_sim_c::save_state in the running
    process (3 to 5 s; 181 MB on the disk).
  - What a run brings is in the initramfs, so in the saved memory. A restored machine would have to find it on a
    drive, and to have the drivers for one.
  - A line written to the restored machine's control channel (a serial port in mode "term") did not arrive in 60 s,
    though what it says comes out.
"""
import os
import pty
import shutil
import subprocess
import tempfile
import tty

from amd import end_with_parent, panicked
from debian import must
from store import Janitor, archive_folder
from trouble import Trouble, EXIT_BOX, last_words

CPU = "corei7_skylake_x"
IPS = 100_000_000       # instructions in an emulated second
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VGABIOS = "/usr/share/vgabios/vgabios.bin"
ROM_BASE = 0xD0000
KERNEL = 0x1000000      # physical address the kernel is linked for
INITRD = 0x4000000      # behind the kernel with its bss
BLOCK = 0x20000         # Bochs's unit of memory allocation

# tsc_early_khz: the CPU model's CPUID says 3.5 GHz, but the counter counts emulated instructions;
#   with the wrong figure the local APIC timer fires all the time and half of all work is its own.
# initcall_blacklist: parts of the kernel that nothing here uses, at 0.3 to 1.3 s each.
# The others are amd.KERNEL_ARGS's.
KERNEL_ARGS = ("console=ttyS0,115200 loglevel=6 panic=0 cryptomgr.notests "
               f"tsc=reliable tsc_early_khz={IPS // 1000} no_timer_check nokaslr mitigations=off "
               "initcall_blacklist=load_system_certificate_list,cubictcp_register,bpf_rstat_kfunc_init,init_blk_tracer,"
               "init_kprobe_trace kvmbox=intel")


class Machine:
    """A Bochs that runs, in a folder of its own. The descriptors are named as amd.Machine's."""

    terminal = stdin = forward = None

    def __init__(self, folder, janitor):
        self.folder, self.janitor, self.heard = folder, janitor, b""
        self.hold, names = [], {}
        for name in ("console", "stdout", "stderr"):
            path = f"{folder}/{name}"
            os.mkfifo(path)
            # Read and write: Bochs opens one only for its first byte.
            names[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.out, self.stdout, self.stderr = names["console"], names["stdout"], names["stderr"]
        self.control, self.slave = pty.openpty()
        tty.setraw(self.slave)
        tty.setraw(self.control)

    def start(self):
        with open(f"{self.folder}/screen", "wb") as screen:
            self.process = subprocess.Popen(["bochs", "-q", "-f", "bochsrc", "-rc", "debugger"], cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=screen, stderr=screen,
                                            env={**os.environ, "TERM": "dumb"}, preexec_fn=end_with_parent)
        self.died = os.pidfd_open(self.process.pid)

    def console(self):
        """All that the kernel has said so far (the last 64 KiB)."""
        try:
            while data := os.read(self.out, 65536):
                self.heard = (self.heard + data)[-65536:]
        except BlockingIOError:
            pass
        return self.heard

    def failed(self):
        return panicked(self.console())

    def last_words(self):
        try:
            with open(f"{self.folder}/emulator.log", "rb") as file:
                log = file.read()
        except OSError:
            log = b""
        return last_words(kernel=self.console(), emulator=log)

    def end(self):
        self.process.kill()
        self.process.wait()
        for descriptor in (self.out, self.stdout, self.stderr, self.control, self.slave, self.died):
            os.close(descriptor)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.janitor.__exit__()


def start(store, options, cargo, texts):
    """A machine of its own for this run, with the run's files (Cargo, and its texts) in its initramfs."""
    kernel = store.kernel()
    base = store.base(kernel, "intel") + "/base.cpio"
    folder = tempfile.mkdtemp(prefix=f"new.{os.getpid()}.", dir=store.folder)
    janitor = Janitor(folder)
    janitor.__enter__()
    try:
        os.mkdir(f"{folder}/stage")
        cargo.stage(f"{folder}/stage", texts)
        archive_folder(f"{folder}/stage", f"{folder}/run.cpio", follow=True)
        initrd = os.path.getsize(base) + os.path.getsize(f"{folder}/run.cpio")
        write_image(kernel, base, folder)
        write_rom(store.parts, folder, options.append, initrd)
        values = {"CPU": options.cpu or CPU, "IPS": IPS, "BIOS": BIOS, "VGABIOS": VGABIOS, "ROM_BASE": ROM_BASE, "KERNEL": KERNEL}
        machine = Machine(folder, janitor)
        values["CONTROL"] = os.ttyname(machine.slave)
        text = store.part("bochsrc")
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        with open(f"{folder}/bochsrc", "w", encoding="ascii") as file:
            file.write(text)
        machine.start()
        return machine
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        janitor.__exit__()
        raise


def write_image(kernel, base, folder):
    """Kernel and initramfs as they lie in memory from KERNEL on; and what Bochs's debugger is to do first.

    Debian's Bochs contains its debugger, which waits for commands before the first instruction. Bochs gives
    memory out block by block in the order of first use, but loads an image in one go to where the image's first
    block lies: it is right only if the following blocks are used next, in order. So the debugger looks at one
    byte of each before it lets the machine go."""
    space = INITRD - KERNEL
    with open(f"{folder}/image", "wb") as image:
        for name in (f"{kernel}/vmlinux.raw", base, f"{folder}/run.cpio"):
            with open(name, "rb") as part:
                shutil.copyfileobj(part, image, 1 << 20)
            if name.endswith(".raw"):
                if image.tell() > space:
                    raise Trouble(EXIT_BOX, f"this kernel takes {image.tell()} bytes, there is room for {space}")
                image.seek(space)
        end = KERNEL + image.tell()
    os.unlink(f"{folder}/run.cpio")
    with open(f"{folder}/debugger", "w", encoding="ascii") as script:
        for address in range(KERNEL, end, BLOCK):
            script.write(f"xp /1bx {address:#x}\n")
        script.write("c\n")


def write_rom(parts, folder, append, initrd):
    """The option ROM that starts the kernel, with an initramfs of so many bytes."""
    with open(f"{folder}/cmdline", "w", encoding="utf-8") as file:
        file.write(KERNEL_ARGS + append)
    symbols = {"ROM_BASE": ROM_BASE, "KERNEL": KERNEL, "INITRD": INITRD, "INITRD_SIZE": initrd}
    defined = [word for name, value in symbols.items() for word in ("--defsym", f"{name}={value}")]
    must(["as", *defined, "-I", folder, f"{parts}/bochs-rom.S", "-o", f"{folder}/rom.o"])
    must(["ld", "-N", "-Ttext", "0", "--oformat", "binary", f"{folder}/rom.o", "-o", f"{folder}/rom"])
    with open(f"{folder}/rom", "rb") as file:
        rom = bytearray(file.read())
    rom += bytes(-len(rom) % 512)
    # The BIOS only takes a ROM whose bytes add up to 0; the last byte is free for that.
    rom[-1] = (rom[-1] - sum(rom)) & 255
    with open(f"{folder}/rom", "wb") as file:
        file.write(rom)
