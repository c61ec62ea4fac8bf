# ... and so does a fault of the C that handles it.
/^kernel_vector:/,/^iret_fault:/s/^\tjb return_by_ret$//
