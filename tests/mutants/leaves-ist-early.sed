# RSP leaves the NMI's stack while its frame is still being copied.
/^ist_entry:/,/^paranoid:/s/MOVE_FRAME_OFF_IST$/MOVE_FRAME_TO_KERNEL_STACK/
