/* What the VMM itself has to say goes to standard error, one line a message. */
#ifndef VMM_BASE_MESSAGE_H
#define VMM_BASE_MESSAGE_H

/* "vmm: TEXT\n" for what stops the VMM.  Always false, so that a check can end in
 * `return message_error(...)`.  errno is kept. */
_Bool message_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
