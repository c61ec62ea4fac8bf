"""The files that a run brings into its box."""
import io
import os
import shlex
import stat
import subprocess
import time

from debian import run
from trouble import Trouble, EXIT_BOX, EXIT_USAGE

# Of the project's folders, what no test and no person reads inside a box.
TREE_LEFT_OUT = {".git", "build", "__pycache__", "compile_commands.json"}


class Image:
    """A squashfs image that is being written: files under the names that they will have. A file that
    has no name any more may be given by its path below /proc/self/fd."""

    def __init__(self, path, compress=False):
        import tarfile  # late: the emulator starts meanwhile
        self.tarfile = tarfile
        packing = [] if compress else ["-noI", "-noD", "-noF", "-noX"]
        keep = ()
        if path.startswith("/proc/self/fd/"):
            keep = (int(path.rsplit("/", 1)[1]),)
        self.tool = subprocess.Popen(["mksquashfs", "-", path, "-tar", "-noappend", "-no-progress", "-quiet", "-all-root",
                                      "-no-xattrs", *packing], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, pass_fds=keep, env={**os.environ, "SOURCE_DATE_EPOCH": "0"})
        self.tar = tarfile.open(fileobj=self.tool.stdin, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20)
        self.names = set()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        failed = None
        try:
            self.tar.close()
            self.tool.stdin.close()
        except OSError as error:
            failed = error
        words = self.tool.stdout.read().decode(errors="replace")
        if kind is None and (self.tool.wait() or failed):
            raise Trouble(EXIT_BOX, "mksquashfs failed", words[-2000:])
        self.tool.wait()

    def parents(self, name):
        parent = os.path.dirname(name)
        if parent not in self.names and parent != "/":
            self.folder(parent, 0o755)

    def folder(self, name, mode):
        if name in self.names:
            return
        self.parents(name)
        self.names.add(name)
        entry = self.tarfile.TarInfo(name[1:])
        entry.type, entry.mode = self.tarfile.DIRTYPE, mode
        self.tar.addfile(entry)

    def text(self, name, text, mode=0o644):
        self.parents(name)
        self.names.add(name)
        entry = self.tarfile.TarInfo(name[1:])
        data = text.encode()
        entry.size, entry.mode = len(data), mode
        self.tar.addfile(entry, io.BytesIO(data))

    def add(self, path, name):
        """A file, folder (without what is in it) or symbolic link of this machine, as it is."""
        if name in self.names:
            return
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            self.folder(name, stat.S_IMODE(status.st_mode))
            return
        self.parents(name)
        entry = self.tarfile.TarInfo(name[1:])
        entry.mode, entry.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        if stat.S_ISLNK(status.st_mode):
            entry.type, entry.linkname = self.tarfile.SYMTYPE, os.readlink(path)
            self.tar.addfile(entry)
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                entry.size = os.fstat(file.fileno()).st_size
                self.tar.addfile(entry, file)
        self.names.add(name)


def is_program(path):
    """Whether this is an ELF file that may be executed."""
    try:
        if not os.path.isfile(path) or not os.access(path, os.X_OK):
            return False
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def is_dynamic(path):
    """Whether this is a program that asks for a dynamic loader (a program header of type PT_INTERP)."""
    if not is_program(path):
        return False
    with open(path, "rb") as file:
        head = file.read(4096)
    offset, size, count = (int.from_bytes(head[at:at + width], "little") for at, width in ((0x20, 8), (0x36, 2), (0x38, 2)))
    return any(head[offset + i * size:offset + i * size + 4] == b"\3\0\0\0" for i in range(count))


def libraries(files, merged=True):
    """The libraries of the programs among these files, under the paths that the dynamic loader will look for.
    merged: /lib and /lib64 are links into /usr there, as they are here, and stay so."""
    programs = [path for path in files.values() if is_dynamic(path)]
    found = {}
    if programs:
        for word in run(["ldd", *programs]).stdout.split():
            if word.startswith("/") and os.path.isfile(word):
                name = os.path.join(os.path.realpath(os.path.dirname(word)), os.path.basename(word)) if merged else word
                found[name] = os.path.realpath(word)
    return found


def add_all(image, files):
    for name, source in sorted({**files, **libraries(files)}.items()):
        image.add(source, name)


class Cargo:
    """What lies where in the box: kept and own map names there to paths here, folder is where the command runs.
    kept is the build folder's and the project's, the same for many runs; own is what this run alone brings."""

    def __init__(self, options, top, build):
        self.options, self.top, self.build = options, top, build
        self.folder = os.getcwd() if options.here else build
        self.kept, self.own = {}, {}
        if options.files or not options.here:
            self.take_build()
        if options.tree:
            self.take_tree()
        for word in options.extra:
            self.take_extra(word)
        self.check_command()

    @staticmethod
    def take(files, path, name):
        """path, and all that is in it if it is a folder, will be called name."""
        if os.path.isdir(path):
            for folder, folders, names in os.walk(path, followlinks=False):
                folders[:] = [one for one in folders if one not in TREE_LEFT_OUT]
                inside = name + folder[len(path):]
                files[inside] = folder
                for one in names:
                    files[f"{inside}/{one}"] = f"{folder}/{one}"
        else:
            files[name] = path

    def take_build(self):
        if self.options.files:
            for name in self.options.files:
                if not os.path.exists(f"{self.build}/{name}"):
                    raise Trouble(EXIT_BOX, f"no {name} in the build folder {self.build}; build it first")
                self.take(self.kept, f"{self.build}/{name}", self.inside(name, f"--files {name}"))
            return
        for below in ("", "tests/", "mutants/"):
            folder = f"{self.build}/{below}"
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
                if (name.endswith(".elf") and os.path.isfile(folder + name)) or is_program(folder + name):
                    self.take(self.kept, folder + name, f"{self.build}/{below}{name}")

    def take_tree(self):
        if not os.path.isdir(self.top + "/tools"):
            raise Trouble(EXIT_USAGE, "--tree: there is no project around an installed kvmbox")
        for name in sorted(os.listdir(self.top)):
            if name not in TREE_LEFT_OUT:
                self.take(self.kept, f"{self.top}/{name}", f"{self.top}/{name}")

    def inside(self, name, what):
        """The full name in the box of a name that must stay in the command's folder."""
        full = os.path.normpath(f"{self.folder}/{name}")
        if name.startswith("/") or not full.startswith(self.folder + "/"):
            raise Trouble(EXIT_USAGE, f"{what}: it would lie outside the folder that the command runs in")
        return full

    def take_extra(self, word):
        path, name = word, ""
        if not os.path.exists(path) and ":" in path:
            path, name = word.rsplit(":", 1)
        if not os.path.exists(path):
            raise Trouble(EXIT_BOX, f"no file {path} (--file)")
        if name:
            name = self.inside(name, f"--file {word}")
        elif self.options.here:
            name = os.path.abspath(path)
        else:
            name = self.inside(os.path.basename(os.path.abspath(path)), f"--file {word}")
        self.take(self.own, os.path.realpath(path), name)

    def check_command(self):
        """A command that cannot be there is told now and not after a start."""
        name = (self.options.command or ["/"])[0]
        if not name.startswith("/") and "/" in name:
            if os.path.normpath(f"{self.folder}/{name}") not in {**self.kept, **self.own}:
                raise Trouble(EXIT_BOX, f"no {name.removeprefix('./')} in {self.folder}; build it first, or bring it "
                              "with --file")

    def settings(self, terminal, one_output, size):
        """Shell variables for kvmbox.d/agent."""
        options = self.options
        here = {"TERM": os.environ.get("TERM", "dumb") if terminal else "dumb"}
        for name in ("COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "RS_FREE_AT_EXIT"):
            if name in os.environ and (terminal or name.startswith(("L", "R"))):
                here[name] = os.environ[name]
        if not terminal:
            here["NO_COLOR"] = "1"
        values = {"now": f"{time.time():.3f}", "folder": self.folder, "terminal": "1" if terminal else "",
                  "input": "1" if options.interactive else "", "forward": options.forward,
                  "columns": str(size[0]), "rows": str(size[1]), "one_output": "1" if one_output else "",
                  "command": shlex.join(options.command)}
        text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
        text += "".join(f"export {name}={shlex.quote(value)}\n" for name, value in here.items())
        return text

    def texts(self, parts, terminal, one_output, size):
        """Names and texts of kvmbox's own files in the box."""
        gets = "".join(get.name + "\n" for get in self.options.gets)
        texts = {"/kvmbox/settings": self.settings(terminal, one_output, size), "/kvmbox/get": gets}
        for name in ("lead", "channel.py"):
            with open(f"{parts}/{name}", encoding="utf-8") as file:
                texts[f"/kvmbox/{name}"] = file.read()
        return texts

    def kept_key(self):
        """What the image of kept depends on."""
        return [(name, path, now.st_size, now.st_mtime_ns, now.st_mode) for name, path in sorted(self.kept.items())
                for now in [os.stat(path, follow_symlinks=os.path.exists(path))]]

    def write_kept(self, path):
        """The image of what is kept."""
        with Image(path) as image:
            image.folder(self.folder, 0o755)
            add_all(image, self.kept)

    def write_own(self, path, texts):
        """The image of this run's own files, and of texts: names and what stands in them."""
        with Image(path) as image:
            for name, text in texts.items():
                image.text(name, text, 0o755)
            image.folder(self.folder, 0o755)
            add_all(image, self.own)

    def stage(self, folder, texts):
        """All of it as a folder of links for an initramfs, for the Intel box."""
        def place(name):
            os.makedirs(os.path.dirname(folder + name), exist_ok=True)
            return folder + name
        for name, text in texts.items():
            with open(place(name), "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(folder + name, 0o755)
        os.makedirs(folder + self.folder, exist_ok=True)
        files = {**self.kept, **self.own}
        for name, source in sorted({**files, **libraries(files, merged=False)}.items()):
            if os.path.isdir(source):
                os.makedirs(folder + name, exist_ok=True)
            elif os.path.exists(source):
                os.symlink(os.path.realpath(source), place(name))
