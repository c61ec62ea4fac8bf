# RSP alone decides whether what was interrupted runs on an IST stack.
/^paranoid_return:/,/^return_by_ret:/{
s/^\tcmp \$\.Lforeign_stacks_end - syscall_entry, %rax$//
s/^\tjb 7b$//
}
