#!/usr/bin/env python3
"""Writes ELF files that a careful loader must refuse, and some that it must run.

    badelf.py DIRECTORY [SEED]

DIRECTORY gets one file a case and cases.tsv: file, expected exit status ("any" where no more is
promised than that the VMM lives), and a regular expression for standard error.  Every file is made
from scratch or by changing one thing in a good one, so what is refused is what was changed.
"""

import copy
import os
import random
import struct
import sys

EHDR = "<16sHHIQQQIHHHHHH"
EHDR_FIELDS = ("ident", "type", "machine", "version", "entry", "phoff", "shoff", "flags", "ehsize",
               "phentsize", "phnum", "shentsize", "shnum", "shstrndx")
PHDR = "<IIQQQQQQ"
PHDR_FIELDS = ("type", "flags", "offset", "vaddr", "paddr", "filesz", "memsz", "align")
NOTE = "<IIQII4Q4Q32sQQQQ2Q"
NOTE_FIELDS = ("abi", "size", "vectors", "vector_stride", "vector_count", "user_vectors",
               "trap_gates", "ist", "syscall_entry", "compat_entry", "sysenter_entry",
               "syscall_mask", "cpu_entry", "wants")

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
R, W, X = 4, 2, 1
IMAGE = 0xFFFFFFFF80000000
ENTRY = 0xFFFFFFFFC0000000
EXIT_0 = bytes.fromhex("31c0ba04050000ef")  # xor %eax, %eax; mov $0x504, %edx; out %eax, %dx


def header(**fields):
    good = dict(ident=b"\x7fELF\x02\x01\x01" + bytes(9), type=2, machine=62, version=1,
                entry=0x100000, phoff=64, shoff=0, flags=0, ehsize=64, phentsize=56, phnum=None,
                shentsize=64, shnum=0, shstrndx=0)
    good.update(fields)
    return good


def load(**fields):
    good = dict(type=PT_LOAD, flags=R | X, offset=0x1000, vaddr=0x100000, paddr=0x100000,
                filesz=0x1000, memsz=0x1000, align=0x1000)
    good.update(fields)
    return good


def note_desc(**fields):
    base = IMAGE + 0x100000
    good = dict(abi=2, size=struct.calcsize(NOTE), vectors=base, vector_stride=8, vector_count=32,
                user_vectors=[0] * 4, trap_gates=[0] * 4, ist=bytes(32), syscall_entry=base,
                compat_entry=base, sysenter_entry=base, syscall_mask=0x47700, cpu_entry=base,
                wants=0)
    good.update(fields)
    flat = []
    for name in NOTE_FIELDS:
        value = good[name]
        flat += value if isinstance(value, list) else [value]
    return struct.pack(NOTE, *flat)


def note(desc, name=b"Ringscope\0", kind=1, namesz=None, descsz=None):
    def pad(data):
        return data + bytes(-len(data) % 4)
    return struct.pack("<III", len(name) if namesz is None else namesz,
                       len(desc) if descsz is None else descsz, kind) + pad(name) + pad(desc)


class File:
    """An ELF header, program headers, and bytes at offsets."""

    def __init__(self):
        self.header = header()
        self.segments = [load()]
        self.blobs = {0x1000: EXIT_0.ljust(0x1000, b"\xcc")}

    def bytes(self):
        fields = dict(self.header)
        if fields["phnum"] is None:
            fields["phnum"] = len(self.segments)
        data = bytearray(max([offset + len(blob) for offset, blob in self.blobs.items()] +
                             [64 + 56 * len(self.segments)]))
        for offset, blob in self.blobs.items():
            data[offset:offset + len(blob)] = blob
        for i, segment in enumerate(self.segments):
            data[64 + 56 * i:120 + 56 * i] = struct.pack(PHDR, *(segment[f] for f in PHDR_FIELDS))
        data[:64] = struct.pack(EHDR, *(fields[f] for f in EHDR_FIELDS))
        return bytes(data)


def plain():
    return File()


def noted(notes=None):
    """A guest with a note; it lies behind the text in the file and is not loaded."""
    f = File()
    f.header["entry"] = IMAGE + 0x100000
    f.segments = [load(vaddr=IMAGE + 0x100000)]
    blob = note(note_desc()) if notes is None else notes
    f.blobs[0x2000] = blob
    f.segments.append(dict(type=PT_NOTE, flags=R, offset=0x2000, vaddr=0, paddr=0,
                           filesz=len(blob), memsz=len(blob), align=4))
    return f


CASES = []


def case(name, data, status, pattern):
    CASES.append((name, data, status, pattern))


def good(name, f):
    case(name, f.bytes() if isinstance(f, File) else f, "0", "")


def refused(name, f, pattern):
    case(name, f.bytes() if isinstance(f, File) else f, "125", pattern)


def changed_header(name, pattern, **fields):
    f = plain()
    f.header.update(fields)
    refused(name, f, pattern)


def changed_ident(name, index, value, pattern):
    f = plain()
    ident = bytearray(f.header["ident"])
    ident[index] = value
    f.header["ident"] = bytes(ident)
    refused(name, f, pattern)


def changed_load(name, pattern, **fields):
    f = plain()
    f.segments[0].update(fields)
    refused(name, f, "program header 0: .*" + pattern)


def second_load(name, pattern, **fields):
    f = plain()
    f.segments.append(load(flags=R | W, vaddr=0x200000, paddr=0x200000))
    f.segments[1].update(fields)
    if pattern is None:
        good(name, f)
    else:
        refused(name, f, "program header 1: .*" + pattern)


def changed_note(name, pattern, **fields):
    refused(name, noted(note(note_desc(**fields))), pattern)


def files():
    good("good-plain", plain())
    good("good-noted", noted())
    refused("empty", b"", "is empty")
    whole = plain().bytes()
    for size in (1, 2, 3, 4):
        refused(f"truncated-{size}", whole[:size], "is no kernel that can be booted")
    for size in (5, 6, 7, 8, 15, 16, 18, 20, 24, 32, 40, 48, 52, 54, 56, 58, 60, 62, 63):
        refused(f"truncated-{size}", whole[:size], "header alone takes 64 .truncated")
    for size in (64, 65, 68, 72, 80, 88, 96, 104, 112, 119):
        refused(f"truncated-{size}", whole[:size], "e_phoff .* beyond the end .*truncated")
    for size in (120, 4095, 4096, 4097, 8191):
        refused(f"truncated-{size}", whole[:size], "program header 0: .*beyond the end .*truncated")
    whole = noted().bytes()
    for size in (0x2000, 0x2001, 0x200b, 0x200c, 0x2018, 0x2019, len(whole) - 1):
        refused(f"truncated-note-{size}", whole[:size], "program header 1: .*beyond the end")
    refused("text", b"#!/bin/sh\necho this is a script, and long enough for a header, is it not\n",
            "is no kernel that can be booted: it begins with 23 21 2f 62")
    refused("zeros", bytes(8192), "begins with 00 00 00 00")
    refused("ones", b"\xff" * 8192, "begins with ff ff ff ff")


def idents():
    for index, value in enumerate(b"\x7fELF"):
        changed_ident(f"magic-{index}", index, value ^ 0x20, "is no kernel that can be booted")
    changed_ident("class-none", 4, 0, "is no kernel that can be booted: .*a 64-bit ELF header")
    changed_ident("class-32", 4, 1, "none is PT_LOAD")
    changed_ident("class-3", 4, 3, "is no kernel that can be booted")
    changed_ident("data-none", 5, 0, "EI_DATA is 0")
    changed_ident("data-big-endian", 5, 2, "EI_DATA is 2 .*big-endian")
    changed_ident("data-255", 5, 255, "EI_DATA is 255")
    changed_ident("ident-version-0", 6, 0, "EI_VERSION is 0")
    changed_ident("ident-version-2", 6, 2, "EI_VERSION is 2")
    changed_ident("osabi-freebsd", 7, 9, "EI_OSABI is 9")
    changed_ident("abiversion", 8, 1, "EI_ABIVERSION is 1")


def extended(room, count, names):
    """Room for so many sections, with the numbers in section 0 (gABI, extended numbering)."""
    f = plain()
    f.blobs[0x4000] = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, count, names, 0, 0, 0).ljust(
        room * 64, b"\0")
    f.header.update(shoff=0x4000, shnum=0, shstrndx=0xFFFF)
    return f


def sections(count, names):
    good(f"good-sections-{count}-{names}", extended(count, count, names))


def elf_headers():
    changed_header("type-none", "e_type is 0", type=0)
    changed_header("type-rel", "e_type is 1 .*object file.*link", type=1)
    changed_header("type-dyn", "e_type is 3 .*-static -no-pie", type=3)
    changed_header("type-core", "e_type is 4 .*core", type=4)
    changed_header("type-ffff", "e_type is 65535", type=0xFFFF)
    for machine, name in ((0, ""), (3, "80386"), (40, "Arm"), (183, "AArch64"), (243, "RISC-V"),
                          (0xFFFF, "")):
        changed_header(f"machine-{machine}", f"e_machine is {machine}.*{name}", machine=machine)
    changed_header("version-0", "e_version is 0", version=0)
    changed_header("version-2", "e_version is 2", version=2)
    changed_header("flags-1", "e_flags is 0x1", flags=1)
    for size in (0, 52, 63, 65, 0xFFFF):
        changed_header(f"ehsize-{size}", f"e_ehsize is {size}: must be 64", ehsize=size)
    for size in (0, 32, 55, 57, 0xFFFF):
        changed_header(f"phentsize-{size}", f"e_phentsize is {size}: must be 56", phentsize=size)
    changed_header("phnum-0", "e_phnum is 0", phnum=0)
    changed_header("phnum-257", "e_phnum is 257: at most 256", phnum=257)
    changed_header("phnum-ffff", "e_phnum is 65535", phnum=0xFFFF)
    changed_header("phnum-200", "e_phoff .*200 program headers .*beyond", phnum=200)
    for offset in (0x2000 - 55, 0x2000, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 56,
                   (1 << 64) - 1):
        changed_header(f"phoff-{offset:x}", f"e_phoff is 0x{offset:x}: .*beyond", phoff=offset)
    for offset in (0, 1, 63):
        changed_header(f"phoff-{offset}", "e_phoff .*in the ELF header", phoff=offset)
    for offset in (0x2000, 0x2000 - 63, 1 << 63, (1 << 64) - 64, (1 << 64) - 1):
        changed_header(f"shoff-{offset:x}", f"e_shoff is 0x{offset:x}: .*beyond", shoff=offset,
                       shnum=1)
    changed_header("shnum-many", "e_shoff .*65535 section headers .*beyond", shoff=64, shnum=0xFFFF)
    changed_header("shnum-0", "e_shoff is 0x40 but e_shnum is 0", shoff=64)
    changed_header("shstrndx-extended", "e_shstrndx is 65535: must be less than e_shnum, 0",
                   shstrndx=0xFFFF)
    sections(70000, 69999)
    sections(70000, 1)
    sections(3, 2)
    for name, count, names, at, pattern in (
            ("count", 70001, 1, 0x4000, "70001 section headers .*beyond"),
            ("count-huge", (1 << 64) - 1, 1, 0x4000, "e_shoff .*beyond"),
            ("count-0", 0, 1, 0x4000, "e_shoff is 0x4000 but e_shnum is 0"),
            ("names", 70000, 70000, 0x4000, "e_shstrndx is 70000: must be less"),
            ("place", 70000, 1, 0x4000 + 70000 * 64 - 63, "e_shoff .*beyond")):
        f = extended(70000, count, names)
        f.header["shoff"] = at
        refused(f"sections-{name}", f, pattern)
    changed_header("shentsize-0", "e_shentsize is 0", shoff=64, shnum=1, shentsize=0)
    changed_header("shentsize-40", "e_shentsize is 40", shoff=64, shnum=1, shentsize=40)
    changed_header("shstrndx", "e_shstrndx is 1: must be less than e_shnum, 0", shstrndx=1)
    for entry in (0, 0xFFFFF, 0x101000, 0x7FFFFFFFFFFF, 0x800000000000, IMAGE, (1 << 64) - 1):
        changed_header(f"entry-{entry:x}", f"e_entry is 0x{entry:x}: must lie in an executable",
                       entry=entry)
    f = plain()
    f.segments.append(load(flags=R | W, vaddr=0x200000, paddr=0x200000))
    f.header["entry"] = 0x200000
    refused("entry-in-data", f, "e_entry is 0x200000: must lie in an executable")


def loads():
    changed_load("interp", "PT_INTERP.*-static", type=PT_INTERP)
    changed_load("dynamic", "PT_DYNAMIC.*-no-pie", type=PT_DYNAMIC)
    for kind in (0, 5, 6, 7, 0x6474E550, 0x6474E551, 0xFFFFFFFF):
        f = plain()
        f.segments[0]["type"] = kind
        refused(f"no-load-{kind:x}", f, "none is PT_LOAD")
    f = plain()
    f.segments[0].update(filesz=0, memsz=0)
    refused("load-of-nothing", f, "none is PT_LOAD")
    changed_load("flags-wx", "writable and executable", flags=R | W | X)
    changed_load("flags-wx-only", "writable and executable", flags=W | X)
    changed_load("flags-0", "p_flags is 0x0", flags=0)
    changed_load("flags-unknown", "p_flags is 0xd.*without a meaning", flags=R | X | 8)
    changed_load("filesz-above-memsz", "p_filesz is 0x1000: must not be above p_memsz, 0xfff",
                 memsz=0xFFF)
    changed_load("filesz-above-0", "p_filesz is 0x1000: must not be above p_memsz, 0x0", memsz=0)
    for offset in (0x1001, 0x2000, 1 << 32, 1 << 63, (1 << 64) - 0x1000, (1 << 64) - 1):
        changed_load(f"offset-{offset:x}", f"p_offset 0x{offset:x} .*beyond the end", offset=offset,
                     align=1)
    for size in (0x1001, 1 << 32, 1 << 63, (1 << 64) - 1, (1 << 64) - 0x1000):
        changed_load(f"filesz-{size:x}", f"p_filesz 0x{size:x} .*beyond the end", filesz=size,
                     memsz=(1 << 64) - 1)
    for size in (64 << 20, (63 << 20) + 1, 1 << 32):
        changed_load(f"memsz-{size:x}", f"p_memsz 0x{size:x} lies outside RAM.*--mem", memsz=size)
    changed_load("memsz-wraps", "wraps around", memsz=(1 << 64) - 1)
    changed_load("memsz-wraps-by-1", "wraps around", memsz=(1 << 64) - 0x100000 + 1)
    for address in (0x800000000000, 0x7FFFFFFFF000, 0xFFFF7FFFFFFFF000, 1 << 63):
        changed_load(f"vaddr-{address:x}", "not canonical", vaddr=address, memsz=0x2000)
    changed_load("vaddr-across-hole", "not canonical", vaddr=0x7FFFFFFFF000,
                 memsz=0xFFFF000000001000)
    for address in (64 << 20, (64 << 20) - 0xFFF, 1 << 32, 1 << 63, (1 << 64) - 0x1000):
        changed_load(f"paddr-{address:x}", f"p_paddr 0x{address:x} .*outside RAM", paddr=address,
                     vaddr=0x100000 | address & 0xFFF, align=1)
    changed_load("paddr-not-congruent", "differ in the low 12 bits", paddr=0x100800)
    changed_load("vaddr-not-congruent", "differ modulo p_align", vaddr=0x100800, paddr=0x100800)
    for align in (3, 0x1001, (1 << 64) - 1):
        changed_load(f"align-{align:x}", f"p_align is 0x{align:x}: must be 0 or a power of 2",
                     align=align)
    changed_load("align-huge", "differ modulo p_align", align=1 << 63)
    for name, address in (("direct", 0xFFFF888000000000), ("direct-end", 0xFFFFC8FFFFFFF000),
                          ("percpu", 0xFFFFFFFFA0000000), ("boot", 0xFFFFFFFFB0000000),
                          ("idt", 0xFFFFFFFFCFF00000), ("entry", 0xFFFFFFFFD0000000)):
        changed_load(f"vmm-{name}", "lies on the VMM's", vaddr=address)
    good_places = (("low", 0), ("half-end", 0x7FFFFFFFF000), ("kernel", 0xFFFF800000000000),
                   ("image", IMAGE), ("top", (1 << 64) - 0x1000))
    for name, address in good_places:
        f = plain()
        f.segments[0].update(vaddr=address)
        f.header["entry"] = address
        good(f"good-{name}", f)


def pairs():
    second_load("good-two", None)
    second_load("good-bss", None, offset=0, filesz=0, memsz=0x12345)
    second_load("good-same-page", None, offset=0x1800, vaddr=0x101800, paddr=0x101800, filesz=0x10,
                memsz=0x10)
    second_load("overlap-same", "overlaps program header 0", vaddr=0x100000, paddr=0x100000)
    second_load("overlap-va", "p_vaddr 0x100800 .*overlaps program header 0", vaddr=0x100800,
                paddr=0x200800, align=1)
    second_load("overlap-va-before", "overlaps program header 0", vaddr=0xFF000, memsz=0x1001)
    second_load("overlap-pa", "p_paddr 0x100000 .*overlaps program header 0", paddr=0x100000)
    second_load("overlap-pa-inside", "p_paddr 0x100fff .*overlaps program header 0",
                vaddr=0x200FFF, paddr=0x100FFF, align=1)
    second_load("overlap-around", "overlaps program header 0", vaddr=0, paddr=0x300000,
                memsz=0x200000)
    f = plain()
    f.segments[0].update(filesz=0x800, memsz=0x800)
    f.segments.append(load(flags=R | W, vaddr=0x100800, paddr=0x100800, offset=0x1800, filesz=0x10,
                           memsz=0x10))
    refused("shared-page-rights", f,
            "program header 1: p_flags .*shares a page with program header 0")
    f = copy.deepcopy(f)
    f.segments[1].update(flags=R | X)
    good("good-shared-page", f)
    f = copy.deepcopy(f)
    f.segments[1].update(paddr=0x200800)
    refused("shared-page-one-space", f, "program header 1: .*share a page .*in one space")
    f = plain()
    f.segments += [load(flags=R, vaddr=0x200000 + i * 0x1000, paddr=0x200000 + i * 0x1000)
                   for i in range(23)]
    good("good-24-loads", f)
    f = copy.deepcopy(f)
    f.segments.append(load(flags=R, vaddr=0x300000, paddr=0x300000))
    refused("25-loads", f, "program header 24: is PT_LOAD number 25: at most 24")


def notes():
    place = "must lie in one executable segment of the kernel half"
    changed_note("note-abi-0", "abi is 0: this VMM speaks 2", abi=0)
    changed_note("note-abi-3", "abi is 3: this VMM speaks 2", abi=3)
    changed_note("note-size-0", "size is 0", size=0)
    changed_note("note-size-huge", "size is 4294967295", size=0xFFFFFFFF)
    for address in (0, 0x100000, IMAGE + 0x101000, IMAGE + 0x100000 - 1, 1 << 63, (1 << 64) - 1):
        changed_note(f"note-vectors-{address:x}", f"vectors is 0x{address:x}: .*{place}",
                     vectors=address)
    changed_note("note-vectors-end", place, vectors=IMAGE + 0x101000 - 31 * 8)
    for stride in (0, 4097, 0xFFFFFFFF):
        changed_note(f"note-stride-{stride}", f"vector_stride is {stride}: must be 1 to 4096",
                     vector_stride=stride)
    changed_note("note-stride-beyond", place, vector_stride=4096)
    for count in (0, 31, 257, 0xFFFFFFFF):
        changed_note(f"note-count-{count}", f"vector_count is {count}: must be 32 to 256",
                     vector_count=count)
    changed_note("note-user-vectors", "user_vectors has vector 32", user_vectors=[1 << 32, 0, 0, 0])
    changed_note("note-user-vectors-255", "user_vectors has vector 255",
                 user_vectors=[0, 0, 0, 1 << 63])
    changed_note("note-trap-gates", "trap_gates has vector 64", trap_gates=[0, 1, 0, 0])
    changed_note("note-ist", r"ist\[31\] is 8: must be 0 to 7", ist=bytes(31) + b"\x08")
    changed_note("note-ist-255", r"ist\[0\] is 255", ist=b"\xff" + bytes(31))
    for field in ("syscall_entry", "compat_entry", "sysenter_entry"):
        for address in (1, 0x400000, IMAGE + 0x101000, 0x800000000000, (1 << 64) - 1):
            changed_note(f"note-{field}-{address:x}", f"{field} is 0x{address:x}: .*{place}",
                         **{field: address})
    changed_note("note-compat-alone", "compat_entry .*needs syscall_entry", syscall_entry=0)
    changed_note("note-cpu", "cpu_entry is 0x1000: .*must lie", cpu_entry=0x1000)
    changed_note("note-wants", "wants is 0x2: this VMM knows 0x1", wants=2)
    changed_note("note-mask", "syscall_mask is 0x100000000", syscall_mask=1 << 32)
    good("good-note-minimal",
         noted(note(note_desc(syscall_entry=0, compat_entry=0, sysenter_entry=0))))
    good("good-note-256", noted(note(note_desc(vector_count=256, user_vectors=[0, 0, 1, 1 << 63]))))
    good("good-note-others", noted(note(b"\1\2\3", b"GNU\0", 3) + note(note_desc()) +
                                   note(b"", b"Other\0", 1)))
    good("good-note-other-only", without_ringscope())

    desc = note_desc()
    refused("note-type", noted(note(desc, kind=2)), "n_type is 2: must be 1")
    for size in (0, 4, len(desc) - 4, len(desc) + 4):
        refused(f"note-descsz-{size}", noted(note(desc.ljust(size, b"\0")[:size])),
                f"n_descsz is {size}: must be {len(desc)}")
    refused("note-twice", noted(note(desc) + note(desc)), "second")
    for size in (0x1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        refused(f"note-namesz-{size:x}", noted(note(desc, namesz=size)),
                f"n_namesz is {size}: must be 10")
        refused(f"note-descsz-lie-{size:x}", noted(note(desc, descsz=size)),
                f"n_descsz is {size}: must be {len(desc)}")
    good("good-note-rest", noted(note(desc) + b"\0\0\0\0"))
    good("good-note-odd-rest", noted(note(desc) + b"\xff"))
    good("good-note-nonsense-behind", noted(note(desc) + b"\xff" * 40))
    # A build id of five bytes, padded or not; names and types that nobody knows.
    build_id = struct.pack("<III", 4, 5, 3) + b"GNU\0" + b"\1\2\3\4\5"
    good("good-build-id-5", without_ringscope(build_id))
    good("good-build-id-5-padded", without_ringscope(build_id + b"\0\0\0"))
    good("good-build-id-5-first", noted(build_id + b"\0\0\0" + note(desc)))
    good("good-note-others-nonsense", without_ringscope(b"\xff" * 64))
    good("good-note-others-short", without_ringscope(b"\1"))
    good("good-note-others-name", without_ringscope(note(b"", b"Ringscop", 1)))
    good("good-note-behind-much", noted(note(bytes(100000), b"Other\0", 9) + note(desc)))
    good("good-note-behind-many", noted(note(b"", b"Other\0", 9) * 10000 + note(desc)))
    f = noted()
    f.segments[1]["filesz"] -= 8
    refused("note-cut", f, "n_namesz and n_descsz")
    f = noted()
    f.segments[1]["filesz"] = 65537
    f.blobs[0x2000] = f.blobs[0x2000].ljust(65537, b"\0")
    good("good-note-big", f)
    for align in (2, 16, 0x1000, 3):
        f = noted()
        f.segments[1]["align"] = align
        good(f"good-note-align-{align}", f)
    for offset in (0x2001, 1 << 63, (1 << 64) - 1):
        f = noted()
        f.segments[1]["offset"] = offset
        refused(f"note-offset-{offset:x}", f, "program header 1: .*beyond the end")


def without_ringscope(notes=None):
    f = noted(notes or note(b"\1\2\3", b"GNU\0", 3))
    f.segments[0]["vaddr"] = 0x100000
    f.header["entry"] = 0x100000
    return f


def noted_places():
    where = "with a Ringscope note it must lie in"
    f = noted()
    f.header["entry"] = 0x400000
    f.segments.append(load(vaddr=0x400000, paddr=0x400000))
    refused("noted-user-entry", f, "e_entry is 0x400000: .*of the kernel half")
    for address in (0xFFFF800000000000, IMAGE - 0x1000, 0xFFFFFFFFA0100000, 0xFFFFFFFFB0001000,
                    (1 << 64) - 0x1000):
        f = noted()
        f.segments.append(load(flags=R, vaddr=address, paddr=0x400000))
        refused(f"noted-place-{address:x}", f, where)
    for name, address in (("user", 0x400000), ("entry", ENTRY), ("image", IMAGE + 0x1F000000)):
        f = noted()
        f.segments.append(load(flags=R | X, vaddr=address, paddr=0x400000))
        good(f"good-noted-{name}", f)


def mutations(rng):
    """Random bytes: nothing is promised but that the VMM lives and says something."""
    for i in range(60):
        size = rng.choice((1, 16, 63, 64, 65, 120, 500, 4096, 20000))
        refused(f"random-{i}", rng.randbytes(size), "vmm: ")
    for i in range(60):
        body = rng.randbytes(rng.choice((60, 200, 4096)))
        case(f"random-elf-{i}", b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 62, 1) +
             body, "any", "vmm: ")
    for i in range(150):
        data = bytearray((plain() if i % 2 else noted()).bytes())
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            where = rng.choice((rng.randrange(64), rng.randrange(64, 232),
                                0x2000 + rng.randrange(180)))
            if where < len(data):
                data[where] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        case(f"mutant-{i}", bytes(data), "any", "")
    for i in range(60):
        f = plain() if i % 2 else noted()
        segment = rng.choice(f.segments)
        for _ in range(rng.choice((1, 2, 3))):
            segment[rng.choice(PHDR_FIELDS[2:])] = rng.choice(
                (0, 1, 0xFFF, 0x1000, 0x100000, 1 << 32, 1 << 47, 1 << 63, (1 << 64) - 1,
                 (1 << 64) - 0x1000, rng.randrange(1 << 64)))
        case(f"mutant-header-{i}", f.bytes(), "any", "")


def main():
    directory = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    files()
    idents()
    elf_headers()
    loads()
    pairs()
    notes()
    noted_places()
    mutations(random.Random(seed))
    names = [name for name, *_ in CASES]
    assert len(set(names)) == len(names), [n for n in names if names.count(n) > 1]
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "cases.tsv"), "w") as table:
        for name, data, status, pattern in CASES:
            with open(os.path.join(directory, name), "wb") as out:
                out.write(data)
            table.write(f"{name}\t{status}\t{pattern}\n")
    print(f"# {len(CASES)} ELF files, seed {seed}")


if __name__ == "__main__":
    main()
