/*
 * Option ROM that starts the Linux kernel of the Intel box.
 *
 * Bochs puts the unpacked kernel and the initramfs into memory itself (optramimage), so all that
 * a boot loader does is left out, and above all the reading through an emulated disk and the
 * unpacking by emulated instructions, which together cost far more than the boot of the kernel.
 * The BIOS comes here when everything that the kernel wants from it is in place (ACPI tables,
 * memory map); this code never returns to it.
 *
 * What the kernel wants: Documentation/arch/x86/boot.rst, "64-bit Boot Protocol": long mode, the
 * kernel and boot_params mapped one to one, CS 0x10, data 0x18, interrupts off, RSI = boot_params.
 *
 * To be defined when assembling: ROM_BASE, KERNEL, INITRD, INITRD_SIZE (bytes), and a file
 * "cmdline" in the include path.
 */
        .set    BOOT_PARAMS,    0x10000
        .set    E820_ENTRIES,   0x1e8           /* offsets in struct boot_params */
        .set    SETUP_HEADER,   0x1f1
        .set    E820_TABLE,     0x2d0
        .set    E820_MAX,       128
        .set    PML4,           0x12000
        .set    PDPT,           0x13000
        .set    STACK,          0x10000

        .code16
        .globl  _start
_start:
        .byte   0x55, 0xaa
        .byte   (rom_end - _start + 511) / 512
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ss
        movl    $STACK - 16, %esp
        movw    $BOOT_PARAMS >> 4, %ax
        movw    %ax, %es

        /* boot_params and both page tables start as zeros */
        xorw    %di, %di
        xorl    %eax, %eax
        movw    $(PDPT + 0x1000 - BOOT_PARAMS) / 4, %cx
        rep stosl

        movw    $SETUP_HEADER, %di
        movw    $(setup_header - _start), %si
        movw    $(setup_header_end - setup_header), %cx
        rep movsb %cs:(%si), %es:(%di)

        /* memory map: one BIOS call an entry, EBX is the BIOS's own bookmark */
        xorl    %ebx, %ebx
        movw    $E820_TABLE, %di
1:      movl    $0xe820, %eax
        movl    $0x534d4150, %edx               /* "SMAP" */
        movl    $20, %ecx
        int     $0x15
        jc      2f
        addw    $20, %di
        incb    %es:E820_ENTRIES
        cmpb    $E820_MAX, %es:E820_ENTRIES
        je      2f
        testl   %ebx, %ebx
        jnz     1b
2:      cli

        /* the first GiB mapped one to one by one entry; the kernel makes its own tables next */
        movl    $PDPT + 3, %es:(PML4 - BOOT_PARAMS)
        movl    $0x83, %es:(PDPT - BOOT_PARAMS)

        inb     $0x92, %al                      /* A20 */
        orb     $2, %al
        outb    %al, $0x92

        lgdtl   %cs:(gdt_pointer - _start)
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0x20, %eax                     /* CR4.PAE */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx               /* EFER.LME */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000001, %eax               /* CR0.PG and PE at once: straight to long mode */
        movl    %eax, %cr0
        ljmpl   $0x10, $ROM_BASE + long_mode - _start

        .code64
long_mode:
        movl    $0x18, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $BOOT_PARAMS, %esi
        movl    $KERNEL, %eax
        jmp     *%rax

        .balign 8
gdt:    .quad   0, 0
        .quad   0x00af9b000000ffff              /* 0x10: 64-bit code */
        .quad   0x00cf93000000ffff              /* 0x18: data */
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   ROM_BASE + gdt - _start

/* struct setup_header, at 0x1f1 of boot_params: only what a kernel reads that is past the setup code. */
setup_header:
        .byte   0                               /* 1f1 setup_sects */
        .word   0                               /* 1f2 root_flags */
        .long   0                               /* 1f4 syssize */
        .word   0                               /* 1f8 ram_size */
        .word   0xffff                          /* 1fa vid_mode: normal */
        .word   0                               /* 1fc root_dev */
        .word   0xaa55                          /* 1fe boot_flag */
        .word   0                               /* 200 jump */
        .ascii  "HdrS"                          /* 202 header */
        .word   0x020c                          /* 206 version */
        .long   0                               /* 208 realmode_swtch */
        .word   0, 0                            /* 20c start_sys_seg, kernel_version */
        .byte   0xff                            /* 210 type_of_loader: none of the known ones */
        .byte   1                               /* 211 loadflags: LOADED_HIGH */
        .word   0                               /* 212 setup_move_size */
        .long   0                               /* 214 code32_start */
        .long   INITRD                          /* 218 ramdisk_image */
        .long   INITRD_SIZE                     /* 21c ramdisk_size */
        .long   0                               /* 220 bootsect_kludge */
        .word   0                               /* 224 heap_end_ptr */
        .byte   0, 0                            /* 226 ext_loader_ver, ext_loader_type */
        .long   ROM_BASE + cmdline - _start     /* 228 cmd_line_ptr */
        .long   0x7fffffff                      /* 22c initrd_addr_max */
setup_header_end:

cmdline:
        .incbin "cmdline"
        .byte   0
        .byte   0                               /* checksum, filled in by kvmbox */
rom_end:
