# The GS that was found is not put back.
/^5:	test %ebx, %ebx$/,/^6:/s/^\tswapgs$//
