# The far RET is believed to be safe from interrupts because an STI lies before it.
/^kernel_vector:/,/^iret_fault:/s/^\tcmpq \$\.Lfar_ret, 16(%rsp)$//
