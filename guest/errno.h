/* The error numbers in use, with Linux's values. */
#ifndef GUEST_ERRNO_H
#define GUEST_ERRNO_H

#define EPERM  1
#define ESRCH  3
#define EBADF  9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EEXIST 17
#define ENODEV 19
#define EINVAL 22
#define ENOSYS 38

#endif
