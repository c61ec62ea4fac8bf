# A #DB in an NMI's handling returns by IRETQ, and lets in the next NMI.
/^paranoid:/,/^paranoid_return:/s/jne paranoid_return$/jne 7f/
