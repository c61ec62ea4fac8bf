"""What is taken from a Debian archive: packages that are downloaded and unpacked, and never installed."""
import glob
import os
import re
import shutil
import subprocess

from trouble import Trouble, EXIT_BOX

# Debian's name for its newest kernel of this kind; it depends on the package with the files.
KERNEL_PACKAGE = "linux-image-cloud-amd64"


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, check=False, **more)


def must(command, **more):
    done = run(command, **more)
    if done.returncode:
        raise Trouble(EXIT_BOX, f"{command[0]} failed", done.stderr[-2000:])
    return done.stdout


# ---- Packages ------------------------------------------------------------------------------------------------


def newest_kernel():
    """The name of the package; "" when apt knows none."""
    for line in run(["apt-cache", "depends", "--important", KERNEL_PACKAGE]).stdout.splitlines():
        if line.strip().startswith("Depends:"):
            return line.split()[-1]
    return ""


def newest_kernel_of(version):
    """The same of a version as "6.12": the last of those that apt knows."""
    names = run(["apt-cache", "pkgnames", f"linux-image-{version}."]).stdout.split()
    kernels = [name for name in names if re.fullmatch(rf"linux-image-{re.escape(version)}\.[0-9][^-]*(-[0-9]+)?-cloud-amd64", name)]
    return max(kernels, key=lambda name: [int(number) for number in re.findall("[0-9]+", name)], default="")


def refresh_package_lists():
    if os.geteuid() == 0:
        run(["apt-get", "-q", "update"])
    elif shutil.which("sudo"):
        run(["sudo", "-n", "apt-get", "-q", "update"])


def fetch(folder, find, wanted):
    """Unpacks a package into the folder: the one that find() names, "" for none; wanted says for a message what that
    is, and where it is to be had."""
    if not shutil.which("apt-cache"):
        raise Trouble(EXIT_BOX, f"no apt-cache here: a Debian archive is where this comes from: {wanted}")
    package = find()
    for again in (False, True):
        if again or not package:
            refresh_package_lists()  # there are none yet, or they name a version that is gone
            package = find()
        if not package:
            raise Trouble(EXIT_BOX, f"apt-cache knows no {wanted}")
        done = run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], cwd=folder)
        if done.returncode == 0:
            break
    else:
        raise Trouble(EXIT_BOX, f"cannot download {package} (needed once, then kept): no network?", done.stderr[-2000:])
    for file in glob.glob(glob.escape(folder) + "/*.deb"):
        must(["dpkg", "-x", file, folder])
        os.unlink(file)
    return package


# ---- Kernels -------------------------------------------------------------------------------------------------


def kernel_image(package):
    """The bzImage of a kernel's package that was unpacked in this folder."""
    images = glob.glob(glob.escape(package) + "/boot/vmlinuz-*")
    if len(images) != 1:
        raise Trouble(EXIT_BOX, "the kernel package holds no boot/vmlinuz-*")
    return images[0]


def unpack_kernel(package, vmlinux):
    """Takes the ELF file out of the bzImage. Its header says where the packed kernel lies (Linux,
    Documentation/arch/x86/boot.rst: setup_sects, payload_offset and payload_length)."""
    name = kernel_image(package)
    with open(name, "rb") as file:
        image = file.read()

    def number_at(offset, size):
        return int.from_bytes(image[offset:offset + size], "little")

    begin = (number_at(0x1F1, 1) + 1) * 512 + number_at(0x248, 4)
    packed = image[begin:begin + number_at(0x24C, 4)]
    unpackers = {0x2102: "lz4", 0x2202: "lz4", 0x8B1F: "gzip", 0x37FD: "xz", 0xB528: "zstd"}
    unpack = unpackers.get(int.from_bytes(packed[:2], "little"))
    if not unpack:
        raise Trouble(EXIT_BOX, f"{name}: packed in an unknown way")
    if not shutil.which(unpack):
        raise Trouble(EXIT_BOX, f"{name}: is packed by {unpack}: install it")
    # The payload ends with its unpacked size, which the unpackers take for rubbish and complain.
    with open(vmlinux, "wb") as out:
        subprocess.run([unpack, "-dc"], input=packed, stdout=out, stderr=subprocess.DEVNULL, check=False)
    with open(vmlinux, "rb") as out:
        if out.read(4) != b"\x7fELF":
            raise Trouble(EXIT_BOX, f"{name}: {unpack} found no kernel in it")
