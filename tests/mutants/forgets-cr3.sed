# The CR3 that was found is not put back.
/^paranoid:/,/^paranoid_return:/s/^\tmov %r12, %cr3$//
