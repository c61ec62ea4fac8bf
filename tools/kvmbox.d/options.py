"""The command line of kvmbox."""
import os
import re
from collections import namedtuple

from trouble import Trouble, EXIT_USAGE

USAGE = """\
usage: kvmbox [OPTIONS] amd|intel -- COMMAND [ARGUMENT...]

Runs COMMAND on a real, unmodified Linux KVM in an emulated machine. Use it when this machine has
no /dev/kvm, has one that is not to be trusted, or has the other vendor's CPU.

  amd    QEMU with emulated SVM. Ready in less than half a second (the first time 10 s); 2 CPUs; SMEP,
         SMAP, UMIP, FSGSBASE; no PCID. For functional checks, SMP, anything interactive.
         With --exact RDTSC counts instructions, however busy this machine is.
         Seldom, and more often on a busy machine, QEMU delivers an interrupt twice: a guest then
         waits for ever in a spin lock that it holds. The command is to be run again; --coarse
         makes it seldom.
  intel  Bochs with emulated VT-x. About 12 s; 1 CPU; SMEP, SMAP, PCID, INVPCID. RDTSC counts
         instructions, the same from run to run. Runs some 85 million instructions a second, so
         put several commands into one boot: sh -c './a; ./b'. It is not saved: Bochs has no command
         for that without a window, and a restored one does not hear its serial port.

Each command gets a fresh machine. It runs in a copy of the build folder: its programs and *.elf
files, those of its tests/ and mutants/ folders, and the libraries they need. Around that the AMD
box has a userland, with the versions of this machine: bash, coreutils, python3, gdb, strace and
their like; the Intel box has busybox. Whatever the command writes stays in the box, but for what
--get names; files of this machine cannot be changed from there.

Output comes out live, byte for byte. Signals reach the command (Ctrl-C, TERM, HUP, QUIT); a second
one ends the box. If input and output are a terminal, the AMD box's command has one of the same
size and kind; otherwise its standard input is empty unless -i is given.

  --files LIST         only these files of the build folder (comma or space between them)
  --file PATH[:NAME]   also this file or folder, there called NAME (default: its own name)
  --tree               also the project's own folders (tests, tools, ...) where they lie outside
  --here               the command runs in a folder named as the current one; --file PATH lies in
                       the box where it lies here, --get FILE comes back to where it lay there
  --get FILE[:LOCAL]   bring FILE, or a folder, out when the command has ended or its time is up,
                       as LOCAL (default: its own name, in the current folder); repeatable
  --get-if FILE[:LOCAL] the same, and no error if there is none
  --forward ADDRESS    listen on ADDRESS ([127.0.0.1:]PORT, or the PATH of a UNIX socket) here and
                       lead each connection to the same address in the AMD box, where somebody
                       is to listen within half a minute
  --interactive, -i    the AMD box's command reads this one's standard input
  --timeout SECONDS    for box and command together, of this machine's time (default 300 amd,
                       600 intel); the command is then ended, and its files still come out
  --exact              the AMD box's clock counts its instructions, and what it waits for takes the
                       time that it takes here: a busy machine upsets no time-out of a program that
                       computes. One CPU, since QEMU starves a second one; somewhat slower
  --coarse             the AMD box's kernel has no timers but its tick, of 4 ms: for a guest that is
                       itself a kernel with interrupts; what is to wait shorter waits a tick
  --smp N              CPUs of the AMD box (default 2)
  --memory MIB         memory of the AMD box (default 1024)
  --cpu MODEL          CPU model and flags, for example EPYC-Milan,+svm,+npt,+la57 or
                       broadwell_ult
  --append ARGS        more kernel arguments, for example mitigations=auto
  --log FILE           keep the kernel messages of the box
  --prepare            only make what the box needs, and say where it lies
  --quiet              no progress on standard error
  --help               this text

environment: BUILD          the build folder (default build, relative to the project)
             KVMBOX_CACHE   where boxes are kept (default kvmbox in the build folder; of an
                            installed kvmbox ringscope/kvmbox in ~/.cache)
In the box KVMBOX is amd or intel.

exit status: that of COMMAND, or 124 time limit reached, 125 the box failed, 2 wrong usage,
             141 nobody reads the output any more

What the boxes need (QEMU, Bochs, a kernel package that is unpacked and never installed) is
fetched on first use and kept; afterwards no network is needed. The AMD box is saved once it has
booted, for each CPU model, size and mode, and made again when anything that it was made of
changes or when it is damaged.

examples:
  tools/kvmbox amd -- ./vmm guest.elf
  tools/kvmbox intel -- sh -c './vmm guest.elf; ./tests/translate'
  tools/kvmbox amd -- bash
  tools/kvmbox --get core.elf:/tmp/core.elf --cpu EPYC-Milan,+svm,+npt,+la57 amd -- ./vmm guest.elf
"""

TIMEOUTS = {"amd": 300, "intel": 600}  # seconds


# A file to bring out: its name in the box, where it goes, whether it must be there.
Get = namedtuple("Get", "name local needed")


class Options:
    """What was asked for."""

    def __init__(self):
        self.box = ""
        self.command = []
        self.files = []         # of the build folder; empty: all of it
        self.extra = []         # --file, as it was typed
        self.gets = []          # of Get
        self.forward = ""
        self.tree = self.here = self.interactive = self.exact = self.coarse = self.prepare = self.quiet = False
        self.timeout = 0        # seconds
        self.smp = 2
        self.memory = 1024      # MiB
        self.cpu = self.append = self.log = ""


FLAGS = {"--tree", "--here", "--interactive", "--exact", "--coarse", "--prepare", "--quiet"}
NUMBERS = {"--timeout": (1, 9999999), "--smp": (1, 16), "--memory": (256, 1 << 20)}
WORDS = {"--files", "--file", "--get", "--get-if", "--forward", "--cpu", "--append", "--log"}


def usage_error(text):
    raise Trouble(EXIT_USAGE, f"{text} (see --help)")


def number(name, value):
    low, high = NUMBERS[name]
    if not re.fullmatch(r"[1-9][0-9]{0,6}", value) or not low <= int(value) <= high:
        usage_error(f"{name} {value}: not a whole number from {low} to {high}")
    return int(value)


def word(name, value):
    """A word that goes to an emulator or names a file: one line, and no more than it says."""
    if not value or "\n" in value or "\0" in value:
        usage_error(f"{name}: empty, or more than one line")
    if name == "--cpu" and not re.fullmatch(r"[A-Za-z0-9_.,+=-]+", value):
        usage_error(f"--cpu {value}: letters, digits and _ . , + = - are all it may hold")
    if name == "--append" and not value.isprintable():
        usage_error("--append: not printable")
    return value


def split_get(value, needed, here):
    name, colon, local = value.partition(":")
    if not name or (colon and not local):
        usage_error(f"--get {value}: wanted FILE or FILE:LOCAL")
    return Get(name, local if colon else name if here else os.path.basename(name.rstrip("/")), needed)


def take(options, gets, name, value):
    value = number(name, value) if name in NUMBERS else word(name, value)
    if name == "--files":
        options.files += re.split(r"[, ]+", value.strip(", "))
    elif name == "--file":
        options.extra.append(value)
    elif name in ("--get", "--get-if"):
        gets.append((value, name == "--get"))
    elif name == "--append":
        options.append += " " + value
    else:
        setattr(options, name[2:], value)


def parse(arguments):
    """Options of these words; None when --help was asked for. Trouble tells what is wrong."""
    options, gets, given = Options(), [], set()
    words = list(arguments)
    while words:
        name = words.pop(0)
        if name in ("-h", "--help"):
            return None
        if name == "--":
            options.command = words
            break
        if name == "-i":
            name = "--interactive"
        if name.startswith("--") and "=" in name:
            name, value = name.split("=", 1)
            words.insert(0, value)
        given.add(name)
        if name in FLAGS:
            setattr(options, name[2:], True)
        elif name in NUMBERS or name in WORDS:
            if not words:
                usage_error(f"{name} needs a value")
            take(options, gets, name, words.pop(0))
        elif name.startswith("-"):
            usage_error(f"no option {name}")
        elif options.box:
            usage_error(f"'{name}' after '{options.box}': put -- before the command")
        elif name in TIMEOUTS:
            options.box = name
        else:
            usage_error(f"no box '{name}': amd or intel")
    options.gets = [split_get(value, needed, options.here) for value, needed in gets]
    check(options, given)
    return options


def check(options, given):
    if not options.box:
        usage_error("which box, amd or intel?")
    if not options.command and not options.prepare:
        usage_error(f"no command; write: kvmbox {options.box} -- COMMAND")
    if options.box == "intel":
        for name, why in (("--smp", "has 1 CPU"), ("--memory", "has 512 MiB"), ("--exact", "always counts instructions"),
                          ("--coarse", "delivers no interrupt twice"),
                          ("--forward", "has no way in"), ("--interactive", "has no standard input"),
                          ("--prepare", "is booted each time")):
            if name in given:
                usage_error(f"{name} is for the amd box; the intel box {why}")
    if options.exact:
        # All CPUs are one thread of QEMU, and take turns. Before version 8.1 each gets all instructions up to the next
        # timer; when they are used up nothing is left for those behind it, and when the timer has fired it is the
        # first one's turn again. Only one that stops early, by PAUSE or HLT, lets another on, and Linux's first CPU
        # does neither while it waits for the second one to come up: in do_boot_cpu it calls schedule() for 10
        # seconds of the box's time, a minute of ours, and then gives it up.
        if "--smp" in given and options.smp != 1:
            usage_error("--exact has 1 CPU: with more QEMU lets the first one alone run")
        options.smp = 1
    options.timeout = options.timeout or TIMEOUTS[options.box]
