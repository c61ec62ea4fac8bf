# An event on an IST stack counts a system call too.
/^paranoid:/,/^paranoid_return:/s/^4:	mov %edi, %r14d$/4:	mov %edi, %r14d\n\tincq %gs:STATS_SYSCALL64/
