# ... and so does a fault.
/^kernel_vector:/,/^iret_fault:/s/^\tjb return_by_ret$//
