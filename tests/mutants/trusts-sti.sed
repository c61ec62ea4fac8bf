# The entry's ring 0 is believed to be safe from interrupts, a far RET too because an STI lies before it.
/^kernel_vector:/,/^iret_fault:/s/^\tjae paranoid$//
