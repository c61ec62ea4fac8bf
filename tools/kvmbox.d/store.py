"""What kvmbox makes once and keeps: a Debian kernel with KVM, a userland, saved machines.

An entry is a folder NAME-KEY with the files that were made and manifest.json, which has their sizes, times and
SHA-256. It comes into being under another name and is then renamed, so it is there whole or not at all. A file
whose size and time are those of the manifest is believed; another one is read: it is made again when it differs,
and otherwise believed from then on with its new time (in the file touched).
"""
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile

from debian import fetch, must, newest_kernel, run, unpack_kernel
from trouble import Trouble, EXIT_BOX

# In the order of loading; what a box does not need does no harm.
AMD_MODULES = ("virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console "
               "squashfs overlay").split()
KVM_MODULES = "irqbypass kvm kvm-amd kvm-intel".split()

# What a person and the tests use; what these depend on comes with them.
USERLAND_PACKAGES = (
    "base-files base-passwd bash busybox-static coreutils dash debianutils diffutils findutils gawk gdb grep gzip "
    "hostname less libc-bin libjansson4 libxml2-utils linux-libc-dev login mawk mount ncurses-base ncurses-bin openssh-client openssh-server parallel "
    "procps psmisc python3 python3-jsonschema rsync sed strace tar util-linux").split()
USERLAND_LEFT_OUT = tuple("/usr/share/" + name for name in (
    "doc/", "man/", "locale/", "info/", "lintian/", "bug/", "zoneinfo/", "i18n/"))
USERLAND_EMPTY = "dev proc sys tmp run root home var/tmp run/sshd run/lock mnt".split()
USERLAND_TEXT = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
                  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/hostname": "kvmbox\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
# What kvmbox.d/init and agent call in the AMD box, if this busybox's shell does not look among its own applets first.
INIT_WORDS = """sh mount umount mkdir mkfifo ln cp cat date insmod sleep ifconfig switch_root chroot
pivot_root setsid""".split()
DPKG_STATUS = "/var/lib/dpkg/status"

FORM = 4  # goes up when the contents of entries change their form


def stamp(path):
    """Changes when the file does."""
    return os.stat(path).st_mtime_ns if os.path.exists(path) else 0


def sha256(path):
    """Of what a file holds, its holes left out: a machine's memory is mostly holes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        at = 0
        while at < end:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break  # nothing but a hole from here on
            hole = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            digest.update(f"{at} {hole} ".encode())
            file.seek(at)
            while at < hole:
                block = file.read(min(1 << 20, hole - at))
                digest.update(block)
                at += len(block)
    return digest.hexdigest()


def key_of(*parts):
    return hashlib.sha256(json.dumps([FORM, *parts], sort_keys=True).encode()).hexdigest()[:16]


class Store:
    def __init__(self, folder, parts, say, option="KVMBOX_CACHE=FOLDER", thorough=False):
        """option: how a user names another folder. thorough: a file's size and time are not believed."""
        self.folder, self.parts, self.say, self.thorough = folder, parts, say, thorough
        self.locks, self.told = [], set()
        try:
            os.makedirs(folder, exist_ok=True)
            self.sweep()
        except OSError as error:
            raise Trouble(EXIT_BOX, f"cannot keep anything in {folder}: {error.strerror}; "
                          f"{option} names another one") from None

    def sweep(self):
        """What was being made when its maker was killed goes; so does what an older kvmbox has kept."""
        for path in glob.glob(glob.escape(self.folder) + "/cache-*") + glob.glob(glob.escape(self.folder) + "/run.*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in glob.glob(glob.escape(self.folder) + "/new.*"):
            if not os.path.isdir("/proc/" + path.rsplit("/new.", 1)[1].split(".")[0]):
                shutil.rmtree(path, ignore_errors=True)

    # ---- entries ----------------------------------------------------------------------------------------

    def entry(self, name, key, make):
        """The folder of an entry, made by make(folder) if it is not there or damaged, and locked against
        being thrown away as long as this process lives."""
        path = f"{self.folder}/{name}-{key}"
        if not self.hold(path):
            with open(self.folder + "/lock", "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not self.hold(path):  # nobody else has made it meanwhile
                    self.make(path, make)
                    self.hold(path)
        return path

    def hold(self, path):
        """Whether this entry is there and whole; then it is kept."""
        try:
            manifest = open(path + "/manifest.json", "r+", encoding="ascii")
        except OSError:
            return False
        fcntl.flock(manifest, fcntl.LOCK_SH)
        if not self.whole(path, manifest):
            manifest.close()
            return False
        os.utime(manifest.fileno())  # used now
        self.locks.append(manifest)
        return True

    def whole(self, path, manifest):
        try:
            files = json.load(manifest)["files"]
            found = {name: os.stat(f"{path}/{name}") for name in files}
            touched = [name for name, was in files.items() if self.thorough or found[name].st_mtime_ns != was["time"]]
            # Times from before the files are read: what is written meanwhile has another one.
            now = [files, [(name, found[name].st_size, found[name].st_mtime_ns) for name in files]]
            believed = not self.thorough and self.known(os.path.basename(path) + "/touched", now)
            for name, was in files.items():
                if found[name].st_size != was["size"] or (
                        name in touched and not believed and sha256(f"{path}/{name}") != was["sha256"]):
                    return self.damaged(path, f"{path}/{name} is damaged")
            if touched and not believed and not self.thorough:
                self.know(os.path.basename(path) + "/touched", now)
        except FileNotFoundError as error:
            return self.damaged(path, f"{error.filename} is gone")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return self.damaged(path, f"{path} cannot be read ({error})")
        return True

    def damaged(self, path, what):
        """Said once of an entry, though it is looked at before and behind the lock."""
        if path not in self.told:
            self.told.add(path)
            self.say.line(f"{what}: it is made again")
        return False

    def make(self, path, make):
        work = tempfile.mkdtemp(prefix=f"new.{os.getpid()}.", dir=self.folder)
        with Janitor(work):
            try:
                make(work)
                files = {name: {"size": os.stat(f"{work}/{name}").st_size, "time": os.stat(f"{work}/{name}").st_mtime_ns,
                                "sha256": sha256(f"{work}/{name}")} for name in sorted(os.listdir(work))}
                with open(work + "/manifest.json", "w", encoding="ascii") as manifest:
                    json.dump({"files": files}, manifest, indent=1)
                shutil.rmtree(path, ignore_errors=True)
                os.rename(work, path)
            except OSError as error:
                raise Trouble(EXIT_BOX, f"cannot make {path}: {error.strerror or error}") from None
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def forget(self, name, most):
        """Of the entries NAME-*, all but the most ones used last, unless somebody uses them."""
        entries = glob.glob(f"{glob.escape(self.folder)}/{name}-*/manifest.json")
        for manifest in sorted(entries, key=os.path.getmtime, reverse=True)[most:]:
            try:
                with open(manifest, "r+", encoding="ascii") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(os.path.dirname(manifest), ignore_errors=True)
            except OSError:
                pass  # in use, or gone meanwhile

    # ---- conclusions -------------------------------------------------------------------------------------

    def known(self, name, of):
        """What was concluded from this, if it is the same as then; otherwise ""."""
        try:
            with open(f"{self.folder}/{name}", encoding="ascii") as file:
                was, text, *_ = file.read().split() + ["", ""]
        except (OSError, ValueError):
            return ""
        return text if was == key_of(of) else ""

    def know(self, name, of, text="yes"):
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix=f"new.{os.getpid()}.", delete=False) as file:
            file.write(f"{key_of(of)} {text}\n")
        os.replace(file.name, f"{self.folder}/{name}")

    # ---- the kernel ------------------------------------------------------------------------------------------

    def kernel(self):
        """The folder of the kernel:
        vmlinux      as an ELF file: QEMU starts it directly, nothing is to be unpacked
        vmlinux.raw  the same as it lies in memory, for Bochs
        NAME.ko      the modules of AMD_MODULES and KVM_MODULES
        """
        return self.entry("kernel", key_of(KVM_MODULES, AMD_MODULES), self.make_kernel)

    def make_kernel(self, folder):
        self.say.note(f"fetching a kernel, once ({self.folder})")
        with tempfile.TemporaryDirectory(prefix=f"new.{os.getpid()}.", dir=self.folder) as package, Janitor(package):
            fetch(package, newest_kernel, "linux-image-cloud-amd64; it is in Debian's main archive")
            unpack_kernel(package, f"{folder}/vmlinux")
            must(["objcopy", "-O", "binary", f"{folder}/vmlinux", f"{folder}/vmlinux.raw"])
            for name in AMD_MODULES + KVM_MODULES:
                found = glob.glob(f"{glob.escape(package)}/lib/modules/**/{name}.ko", recursive=True)
                if not found:
                    raise Trouble(EXIT_BOX, f"the kernel package holds no {name}.ko")
                # Without debug data, type data and signature: checking them takes Bochs 4 s, and the code
                # stays the same.
                must(["objcopy", "-g", "-R", ".BTF", found[0], f"{folder}/{name}.ko"])

    def part(self, name):
        with open(f"{self.parts}/{name}", encoding="utf-8") as file:
            return file.read()

    def base(self, kernel, box):
        """The folder of base.cpio, the part of a box's initramfs that never changes: busybox, modules, init."""
        busybox = shutil.which("busybox") or shutil.which("busybox", path="/bin:/usr/bin")
        if not busybox:
            raise Trouble(EXIT_BOX, "no busybox here: install busybox-static")
        modules = [name for name in AMD_MODULES + KVM_MODULES if box == "amd" or name in KVM_MODULES]
        scripts = ["init", "agent"]
        # The AMD box has another busybox in its userland: its initramfs calls only this one.
        links = run([busybox, "--list"]).stdout.split() if box == "intel" else INIT_WORDS

        def make(folder):
            with tempfile.TemporaryDirectory(prefix=f"new.{os.getpid()}.", dir=self.folder) as root, Janitor(root):
                for name in "bin dev proc sys tmp modules base userland root kvmbox".split():
                    os.makedirs(f"{root}/{name}")
                shutil.copy(busybox, root + "/bin/busybox")
                for name in links:
                    if name != "busybox":
                        os.symlink("busybox", f"{root}/bin/{name}")
                for name in modules:
                    shutil.copy(f"{kernel}/{name}.ko", f"{root}/modules")
                for name in scripts:
                    shutil.copy(f"{self.parts}/{name}", f"{root}/{name}")
                    os.chmod(f"{root}/{name}", 0o755)
                archive_folder(root, folder + "/base.cpio")

        status = os.stat(busybox)
        key = key_of(os.path.basename(kernel), [self.part(name) for name in scripts], box, busybox, status.st_size, status.st_mtime_ns, modules)
        path = self.entry(f"base-{box}", key, make)
        self.forget(f"base-{box}", 2)
        return path

    # ---- the userland ------------------------------------------------------------------------------------

    def userland(self):
        """The folder of the userland: root.squashfs. Made again when one of its packages has another version."""
        packages, of = None, [stamp(DPKG_STATUS), USERLAND_PACKAGES]
        key = self.known("userland", of)
        if not re.fullmatch("[0-9a-f]{16}", key):
            packages = closure(USERLAND_PACKAGES)
            key = key_of(packages, USERLAND_LEFT_OUT, USERLAND_TEXT, USERLAND_EMPTY)
            self.know("userland", of, key)

        def make(folder):
            self.say.note("making the AMD box's userland, once")
            make_userland(packages or closure(USERLAND_PACKAGES), folder + "/root.squashfs")

        path = self.entry("userland", key, make)
        self.forget("userland", 2)
        return path


class Janitor:
    """While the context lasts, a child that removes this folder if this process is killed."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        mine, self.ours = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                os.setsid()
                os.close(self.ours)
                if not os.read(mine, 1):
                    shutil.rmtree(self.folder, ignore_errors=True)
            finally:
                os._exit(0)
        os.close(mine)

    def __exit__(self, *_):
        os.write(self.ours, b"x")
        os.close(self.ours)
        os.waitpid(self.child, 0)


def archive_folder(folder, archive, follow=False):
    """FOLDER as an archive that the kernel unpacks (cpio, newc)."""
    follow = ["-L"] if follow else []
    with open(archive, "wb") as out:
        find = subprocess.Popen(["find", *follow, "."], cwd=folder, stdout=subprocess.PIPE)
        status = subprocess.run(["cpio", *follow, "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=folder,
                                stdin=find.stdout, stdout=out, check=False).returncode
        find.stdout.close()
        if find.wait() or status:
            raise Trouble(EXIT_BOX, f"cannot make {archive}: find or cpio failed")


# ---- Debian's userland -----------------------------------------------------------------------------------------


def closure(names):
    """The installed packages among these and all that they depend on, as NAME=VERSION, in order."""
    installed, depends = {}, {}
    shown = must(["dpkg-query", "-W", "-f", "${Package}\t${db:Status-Status}\t${Version}\t${Depends}, ${Pre-Depends}\t"
                  "${Provides}\n"])
    provides = {}
    for line in shown.splitlines():
        name, status, version, needs, gives = line.split("\t")
        if status == "installed":
            installed[name] = version
            depends[name] = re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", needs)
            for other in re.findall(r"(?:^|,)\s*([a-z0-9][a-z0-9+.-]*)", gives):
                provides.setdefault(other, []).append(name)
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        for real in [name] if name in installed else provides.get(name, []):
            if real not in found:
                found.add(real)
                waiting += depends[real]
    return sorted(f"{name}={installed[name]}" for name in found)


def userland_files(packages):
    """The paths of these packages' files as they lie (through no link to a folder)."""
    listed = must(["dpkg-query", "-L", *(package.split("=")[0] for package in packages)]).splitlines()
    listed += ["/etc/ld.so.cache", "/bin", "/sbin", "/lib", "/lib64", *alternatives()]
    files = set()
    for path in listed:
        if not path.startswith("/") or path == "/." or path.startswith(USERLAND_LEFT_OUT):
            continue
        path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        files.add(path)
        if path.endswith(".py"):  # what Python has compiled belongs to it
            folder, name = os.path.split(path)
            files.update(glob.glob(f"{glob.escape(folder)}/__pycache__/{glob.escape(name[:-3])}.*.pyc"))
    return sorted(path for path in files if os.path.lexists(path) and path[1:] not in USERLAND_TEXT)


def alternatives():
    """The links that update-alternatives has made, which belong to no package: awk, pager, ..."""
    links = glob.glob("/etc/alternatives/*")
    for path in glob.glob("/var/lib/dpkg/alternatives/*"):
        with open(path, encoding="utf-8") as file:
            links += [line for line in file.read().splitlines()[1:2] if line.startswith("/")]
    return links


def make_userland(packages, image):
    from cargo import Image  # which uses this module's names
    with Image(image, compress=False) as out:
        for path in USERLAND_EMPTY:
            out.folder("/" + path, 0o1777 if path.endswith("tmp") else 0o755)
        for path, text in USERLAND_TEXT.items():
            out.text("/" + path, text)
        for path in userland_files(packages):
            try:
                out.add(path, path)
            except PermissionError:
                pass  # not for everybody to read, so not for the box
