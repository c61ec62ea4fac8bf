# NMIs come on whatever stack there is.
s/^\t\.byte 0, 3, 2, 0,/\t.byte 0, 3, 0, 0,/
