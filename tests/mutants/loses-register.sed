# One register of what was interrupted is not kept.
/^paranoid:/,/^paranoid_return:/s/^7:	POP_REGS$/7:	POP_REGS\n\txor %r10d, %r10d/
