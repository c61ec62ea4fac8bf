/* guest/linux/init.c, built: an ELF file. */
#ifndef VMM_CLI_LINUX_INIT_H
#define VMM_CLI_LINUX_INIT_H

extern const char linux_init[], linux_init_end[];

#endif
