# What comes on an IST stack believes that ring 0's CS means the kernel's GS and CR3.
/^ist_entry:/,/^paranoid:/s/jz paranoid$/jz kernel_vector/
