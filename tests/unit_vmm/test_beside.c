/* What --beside reads, where it finds the marks of a crossing, and how it puts two beside each
 * other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include "tests/unit_vmm/made_file.h"
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/anatomy/anatomy_beside.h"
#include "vmm/instruments/anatomy/anatomy_functions.h"
#include "vmm/instruments/anatomy/anatomy_marks.h"
#include "vmm/instruments/anatomy/anatomy_rows.h"

/* ---- Accounts ----------------------------------------------------------------------------------
 */

struct spec {
	unsigned cpl;
	const char *root, *stack;
	uint64_t address;
	const char *symbol, *instruction;
};

/* A kernel with KPTI ... */
static const struct spec with_pti[] = {
    {3, "user", "user", 0x401000, "main", "syscall"},
    {0, "user", "user", 0xffffffff81000000, "entry", "swapgs"},
    {0, "user", "user", 0xffffffff81000003, "entry", "mov rsp, cr3"},
    {0, "user", "none", 0xffffffff81000006, "entry", "mov cr3, rsp"},
    {0, "kernel", "none", 0xffffffff81000009, "entry", "mov rsp, qword gs:[8]"},
    {0, "kernel", "kernel", 0xffffffff81000010, "entry", "call tidy"},
    {0, "kernel", "kernel", 0xffffffff81002000, "tidy", "ret"},
    {0, "kernel", "kernel", 0xffffffff81000015, "entry", "call work"},
    {0, "kernel", "kernel", 0xffffffff81003000, "work", "call getpid"},
    {0, "kernel", "kernel", 0xffffffff81004000, "getpid", "ret"},
    {0, "kernel", "kernel", 0xffffffff81003005, "work", "ret"},
    {0, "kernel", "kernel", 0xffffffff8100001a, "entry", "mov rsp, qword gs:[16]"},
    {0, "kernel", "RSP0", 0xffffffff81000020, "entry", "mov cr3, rdi"},
    {0, "user", "RSP0", 0xffffffff81000023, "entry", "pop rsp"},
    {0, "user", "user", 0xffffffff81000024, "entry", "swapgs"},
    {0, "user", "user", 0xffffffff81000027, "entry", "sysret"},
    {3, "user", "user", 0x401002, "main", "ret"},
};
/* ... and one without, whose entry stack has its own name. */
static const struct spec without_pti[] = {
    {3, "kernel", "user", 0x401000, NULL, "int 0x80"},
    {0, "kernel", "kernel", 0xffffffff80000000, "stub", "swapgs"},
    {0, "kernel", "kernel", 0xffffffff80000003, "stub", "call work"},
    {0, "kernel", "kernel", 0xffffffff80001000, "work", "nop"},
    {0, "kernel", "kernel", 0xffffffff80001001, "work", "ret"},
    {0, "kernel", "kernel", 0xffffffff80000008, "stub", "mov rsp, rdi"},
    {0, "kernel", "entry", 0xffffffff8000000b, "stub", "swapgs"},
    {0, "kernel", "entry", 0xffffffff8000000e, "stub", "iretq"},
    {3, "kernel", "user", 0x401002, NULL, "ret"},
};
#define COUNT(specs) (sizeof(specs) / sizeof((specs)[0]))

static void write_row(FILE *out, const struct spec *spec)
{
	fprintf(out,
	        "{\"address\":\"0x%llx\",\"symbol\":%s%s%s,\"offset\":\"0x0\",\"instruction\":"
	        "\"%s\",\"file\":null,\"line\":7,\"cpl\":%u,\"cr3\":\"0x1000\",\"root\":\"%s\","
	        "\"rsp\":\"0xffff888000001000\",\"stack\":\"%s\",\"gs\":\"user\",\"if\":false,"
	        "\"rflags\":\"0x2\",\"reads\":2,\"writes\":1,\"hardware\":null}\n",
	        (unsigned long long)spec->address, spec->symbol ? "\"" : "",
	        spec->symbol ? spec->symbol : "null", spec->symbol ? "\"" : "", spec->instruction,
	        spec->cpl, spec->root, spec->stack);
}

/* The account as a file has it; the caller's. */
static char *written(const struct spec *specs, size_t count, bool cut)
{
	char *text = NULL;
	size_t size, ring0 = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	fputs("{\"anatomy\":\"syscall\",\"title\":\"SYSCALL (system call 39)\","
	      "\"machine\":\"KPTI on\"}\n",
	      out);
	for (size_t i = 0; i < count; i++) {
		write_row(out, &specs[i]);
		ring0 += i + 1 < count && specs[i].cpl == 0;
	}
	fprintf(out,
	        "{\"instructions\":%zu,\"reads\":%zu,\"writes\":%zu,\"frame_words\":5,"
	        "\"cr3_writes\":2,\"exits\":0,\"cut\":%s}\n",
	        ring0, 2 * (count - 1), count - 1, cut ? "true" : "false");
	fclose(out);
	return text;
}

static struct account account;
/* What the last one that was refused was refused for. */
static char said[1024];

static bool read_and_listen(const char *path)
{
	bool good;

	listen_begin();
	account_free(&account);
	good = account_read(&account, path);
	listen_end(said, sizeof(said));
	ck_assert_int_eq(good, said[0] == '\0');
	ck_assert(good || (!account.rows && !account.count));
	return good;
}

static bool read_bytes(const void *bytes, size_t size)
{
	const char *path = made_file(bytes, size);
	const bool good = read_and_listen(path);

	unlink(path);
	return good;
}

/* The account of the specs in `account`. */
static void read_specs(const struct spec *specs, size_t count)
{
	char *text = written(specs, count, false);

	ck_assert_msg(read_bytes(text, strlen(text)), "%s", said);
	free(text);
}

/* The text with the first `was` behind the start of line `line` (from 1) replaced; the caller's. */
static char *replaced(const char *text, unsigned line, const char *was, const char *now)
{
	char *result = NULL;
	const char *at = text;

	while (--line)
		at = strchr(at, '\n') + 1;
	at = strstr(at, was);
	ck_assert_msg(at != NULL, "no %s", was);
	ck_assert_int_gt(
	    asprintf(&result, "%.*s%s%s", (int)(at - text), text, now, at + strlen(was)), 0);
	return result;
}

START_TEST(reads_an_account)
{
	read_specs(with_pti, COUNT(with_pti));
	ck_assert_str_eq(account.title, "SYSCALL (system call 39)");
	ck_assert_str_eq(account.machine, "KPTI on");
	ck_assert_uint_eq(account.count, COUNT(with_pti));
	ck_assert_uint_eq(account.sums[ACCOUNT_INSTRUCTIONS], COUNT(with_pti) - 2);
	ck_assert_uint_eq(account.sums[ACCOUNT_READS], 2 * (COUNT(with_pti) - 1));
	ck_assert_uint_eq(account.sums[ACCOUNT_WRITES], COUNT(with_pti) - 1);
	ck_assert_uint_eq(account.sums[ACCOUNT_FRAME_WORDS], 5);
	ck_assert_uint_eq(account.sums[ACCOUNT_CR3_WRITES], 2);
	ck_assert_uint_eq(account.sums[ACCOUNT_EXITS], 0);
	ck_assert(!account.cut);
	for (size_t i = 0; i < account.count; i++) {
		ck_assert_uint_eq(account.rows[i].address, with_pti[i].address);
		ck_assert_str_eq(account.rows[i].symbol, with_pti[i].symbol);
		ck_assert_str_eq(account.rows[i].instruction, with_pti[i].instruction);
		ck_assert_str_eq(account.rows[i].stack, with_pti[i].stack);
		ck_assert_uint_eq(account.rows[i].cpl, with_pti[i].cpl);
		ck_assert_int_eq(account.rows[i].user_root, *with_pti[i].root == 'u');
	}
	account_free(&account);
}
END_TEST

START_TEST(reads_what_may_be)
{
	char *text = written(with_pti, COUNT(with_pti), false), *other;
	static const char behind[] = "{\"beside\":\"x\"}\nanything\n";

	/* What a run with --beside adds. */
	ck_assert_int_gt(asprintf(&other, "%s%s", text, behind), 0);
	ck_assert_msg(read_bytes(other, strlen(other)), "%s", said);
	free(other);
	/* No terminal obeys what a file has. */
	other = replaced(text, 3, "swapgs", "swap\\u001b[2Jgs\\u00e4");
	ck_assert_msg(read_bytes(other, strlen(other)), "%s", said);
	ck_assert_str_eq(account.rows[1].instruction, "swap?[2Jgs??");
	free(other);
	other = replaced(text, 1, "KPTI on", "\\u009b");
	ck_assert_msg(read_bytes(other, strlen(other)), "%s", said);
	ck_assert_str_eq(account.machine, "??");
	free(other);
	/* One that was cut need not come back. */
	other = written(with_pti, 4, true);
	ck_assert_msg(read_bytes(other, strlen(other)), "%s", said);
	ck_assert(account.cut);
	free(other);
	free(text);
	account_free(&account);
}
END_TEST

static const struct {
	unsigned line;
	const char *was, *now, *why;
} wrong[] = {
    {1, "\"anatomy\":\"syscall\",", "", "line 1: it has no \"anatomy\""},
    {1, "\"KPTI on\"", "1", "line 1: \"machine\" must be a text"},
    {1, "{", "[", "line 1: no JSON"},
    {2, "\"address\":\"0x401000\",", "", "line 2: it has no \"address\""},
    {2, "\"0x401000\"", "\"401000\"", "line 2: \"address\" must be a text like"},
    {2, "\"0x401000\"", "\"0x\"", "\"address\" must be"},
    {2, "\"0x401000\"", "\"0x-1\"", "\"address\" must be"},
    {2, "\"0x401000\"", "\"0x10000000000000000\"", "\"address\" must be"},
    {2, "\"0x401000\"", "4198400", "\"address\" must be"},
    {2, "\"main\"", "7", "line 2: \"symbol\" must be a text or null"},
    {2, "\"syscall\"", "null", "line 2: \"instruction\" must be a text"},
    {2, "\"syscall\"", "\"sys\\u0000call\"", "line 2: no JSON"},
    {3, "null", "1", "line 3: \"file\" must be a text or null"},
    {3, "\"line\":7", "\"line\":-1", "\"line\" must be null or a number from 0 to 2147483647"},
    {3, "\"line\":7", "\"line\":2147483648", "\"line\" must be null or"},
    {3, "\"cpl\":0", "\"cpl\":4", "line 3: \"cpl\" must be a number from 0 to 3"},
    {3, "\"cpl\":0", "\"cpl\":0.5", "\"cpl\" must be"},
    {3, "\"cpl\":0", "\"cpl\":0,\"cpl\":0", "line 3: no JSON: duplicate"},
    {3, "\"cpl\":0", "\"cpl\":3", "line 4: a row follows the return to ring 3"},
    {3, "\"root\":\"user\"", "\"root\":\"use\"", "line 3: \"root\" must be one of: user kernel"},
    {3, "\"stack\":\"user\"", "\"stack\":\"user none\"", "line 3: \"stack\" must be one of: user"},
    {3, "\"stack\":\"user\"", "\"stack\":\"\"", "\"stack\" must be"},
    {3, "\"gs\":\"user\"", "\"gs\":null", "line 3: \"gs\" must be one of"},
    {3, "\"if\":false", "\"if\":0", "line 3: \"if\" must be true or false"},
    {3, "\"rflags\":\"0x2\"", "\"rflags\":\"2\"", "line 3: \"rflags\" must be"},
    {3, "\"reads\":2", "\"reads\":4294967296",
     "line 3: \"reads\" must be a number from 0 to 4294967295"},
    {3, "\"writes\":1", "\"writes\":-1",
     "line 3: \"writes\" must be a number from 0 to 4294967295"},
    {3, "\"hardware\":null", "\"hardware\":{}", "line 3: \"hardware\" must be a text or null"},
    {3, "}\n", "}", "line 3: no JSON"},
    {19, "\"instructions\":15", "\"instructions\":16", "line 19: \"instructions\" must be 15"},
    {19, "\"reads\":32", "\"reads\":34", "line 19: \"reads\" must be 32, as the rows have it"},
    {19, "\"writes\":16", "\"writes\":15", "line 19: \"writes\" must be 16"},
    {19, "\"exits\":0", "\"exits\":1e3", "line 19: \"exits\" must be a number"},
    {19, "\"exits\":0", "\"exits\":9223372036854775808", "line 19: no JSON"},
    {19, "\"cut\":false", "\"cut\":1", "line 19: \"cut\" must be true or false"},
    {19, "}\n", "}", "line 19: it has no end"},
    {19, "}\n", "}\n{}\n", "line 20: it follows the sums"},
    {19, "}\n", "}\n[]\n", "line 20: it is no object"},
};

START_TEST(refuses_what_may_not_be)
{
	char *text = written(with_pti, COUNT(with_pti), false);
	char *other = replaced(text, wrong[_i].line, wrong[_i].was, wrong[_i].now);

	ck_assert(!read_bytes(other, strlen(other)));
	ck_assert_ptr_nonnull(strstr(said, "--beside /tmp/rs_made_"));
	ck_assert_msg(strstr(said, wrong[_i].why) != NULL, "%s lacks %s", said, wrong[_i].why);
	ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
	free(other);
	free(text);
}
END_TEST

static void refuses(const void *bytes, size_t size, const char *why)
{
	ck_assert(!read_bytes(bytes, size));
	ck_assert_msg(strstr(said, why) != NULL, "%s lacks %s", said, why);
}

START_TEST(refuses_whole_files)
{
	char *text = written(with_pti, COUNT(with_pti), false), *other;
	enum { LONG = 20000 };

	refuses("", 0, "it is empty");
	refuses(text, strlen(text) / 2, "it has no end");
	refuses(text, (size_t)(strchr(text, '\n') + 1 - text), "it ends before its sums");
	refuses("a\0b\n", 4, "line 1: it has no end, a NUL");
	refuses("\n", 1, "line 1: no JSON");
	refuses("\177ELF\n", 5, "line 1: no JSON");
	ck_assert(!read_and_listen("/nonexistent/file"));
	ck_assert_ptr_nonnull(strstr(said, "cannot open it: No such file"));
	ck_assert(!read_and_listen("/tmp"));
	ck_assert_ptr_nonnull(strstr(said, "cannot read it: Is a directory"));
	free(text);

	text = malloc(LONG);
	ck_assert_ptr_nonnull(text);
	memset(text, ' ', LONG);
	refuses(text, LONG, "or more than 16382 bytes");
	free(text);
	/* Deep ones end in jansson, not in our stack. */
	text = malloc(LONG);
	memset(text, '[', LONG);
	text[8000] = '\n';
	refuses(text, 8001, "line 1: no JSON");
	free(text);
	/* A way that never comes back, and one that is none. */
	other = written(with_pti, 4, false);
	refuses(other, strlen(other), "do not lead back to ring 3");
	free(other);
	other = written(with_pti, 1, true);
	refuses(other, strlen(other), "two rows and more");
	free(other);
}
END_TEST

/* ---- Marks -------------------------------------------------------------------------------------
 */

static void check_marks(const struct spec *specs, size_t count, const char *wanted)
{
	static struct marks marks;
	char got[512] = "", text[40];

	read_specs(specs, count);
	marks_find(&account, &marks);
	for (size_t i = 0; i < marks.count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%zu %s; ",
		         marks.list[i].row, mark_text(&marks.list[i], text, sizeof(text)));
	ck_assert_str_eq(got, wanted);
	account_free(&account);
}

START_TEST(finds_marks)
{
	check_marks(with_pti, COUNT(with_pti),
	            "0 into ring 0; 1 SWAPGS; 3 CR3: the kernel root; 4 stack: kernel; 7 call of "
	            "C; 10 back from C; 11 stack: RSP0; 12 CR3: the user root; 13 stack: user; 14 "
	            "SWAPGS; 15 into ring 3; 16 the end; ");
	check_marks(without_pti, COUNT(without_pti),
	            "0 into ring 0; 1 SWAPGS; 2 call of C; 4 back from C; 5 stack: entry; 6 "
	            "SWAPGS; 7 into ring 3; 8 the end; ");
}
END_TEST

START_TEST(finds_marks_of_odd_ways)
{
	/* The account of a SYSENTER of another kernel begins in ring 0; a call that never returns
	 * is none of C; a mnemonic is a whole word. */
	static const struct spec odd[] = {
	    {0, "kernel", "kernel", 0x1000, NULL, "swapgsx"},
	    {0, "kernel", "kernel", 0x1003, NULL, "call 0x1008"},
	    {0, "kernel", "kernel", 0x1008, NULL, "add rsp, 8"},
	    {0, "kernel", "?", 0x100c, NULL, "calling"},
	    {0, "kernel", "kernel", 0x100f, NULL, "mov cr30, rax"},
	    {0, "kernel", "kernel", 0x1012, NULL, "sysexit"},
	    {3, "kernel", "user", 0x2000, NULL, "ret"},
	};
	/* Back behind a call, but from an interrupt. */
	static const struct spec interrupted[] = {
	    {3, "kernel", "user", 0x1000, NULL, "int 0x80"},
	    {0, "kernel", "kernel", 0x2000, NULL, "call f"},
	    {0, "kernel", "kernel", 0x3000, NULL, "iretq"},
	    {0, "kernel", "kernel", 0x2005, NULL, "iretq"},
	    {3, "kernel", "user", 0x1002, NULL, "ret"},
	};
	/* The longest instruction has 15 bytes. */
	static const struct spec far[] = {
	    {3, "kernel", "user", 0x1000, NULL, "int 0x80"},
	    {0, "kernel", "kernel", 0x2000, NULL, "call f"},
	    {0, "kernel", "kernel", 0x3000, NULL, "ret"},
	    {0, "kernel", "kernel", 0x2010, NULL, "ret"},
	    {0, "kernel", "kernel", 0x200f, NULL, "iretq"},
	    {3, "kernel", "user", 0x1002, NULL, "ret"},
	};

	/* What comes behind the longest call is no C either. */
	static const struct spec later[] = {
	    {3, "kernel", "user", 0x1000, NULL, "int 0x80"},
	    {0, "kernel", "kernel", 0x2000, NULL, "call work"},
	    {0, "kernel", "kernel", 0x3000, NULL, "nop"},
	    {0, "kernel", "kernel", 0x3001, NULL, "ret"},
	    {0, "kernel", "kernel", 0x2005, NULL, "call tidy"},
	    {0, "kernel", "kernel", 0x4000, NULL, "ret"},
	    {0, "kernel", "kernel", 0x200a, NULL, "iretq"},
	    {3, "kernel", "user", 0x1002, NULL, "ret"},
	};

	check_marks(later, COUNT(later),
	            "0 into ring 0; 1 call of C; 3 back from C; 6 into ring 3; 7 the end; ");
	check_marks(odd, COUNT(odd), "5 into ring 3; 6 the end; ");
	check_marks(interrupted, COUNT(interrupted), "0 into ring 0; 3 into ring 3; 4 the end; ");
	check_marks(far, COUNT(far),
	            "0 into ring 0; 1 call of C; 3 back from C; 4 into ring 3; 5 the end; ");
}
END_TEST

/* More marks than there is room for: the ends stay. */
START_TEST(keeps_the_end_of_many_marks)
{
	enum { ROWS = 1000 };
	static struct spec many[ROWS];
	static struct marks marks;

	for (size_t i = 0; i < ROWS; i++)
		many[i] = (struct spec){0, "kernel", "kernel", 0x1000 + 3 * i, "f", "swapgs"};
	many[0].cpl = many[ROWS - 1].cpl = 3;
	read_specs(many, ROWS);
	marks_find(&account, &marks);
	ck_assert_uint_eq(marks.count, MARKS_MAX);
	ck_assert_int_eq(marks.list[0].kind, MARK_ENTRY);
	ck_assert_int_eq(marks.list[MARKS_MAX - 2].kind, MARK_EXIT);
	ck_assert_uint_eq(marks.list[MARKS_MAX - 2].row, ROWS - 2);
	ck_assert_int_eq(marks.list[MARKS_MAX - 1].kind, MARK_END);
	account_free(&account);
}
END_TEST

/* ---- Side by side ------------------------------------------------------------------------------
 */

static struct account sides[2];

static void read_sides(const struct spec *a, size_t a_count, const struct spec *b, size_t b_count)
{
	read_specs(a, a_count);
	sides[0] = account;
	account = (struct account){0};
	read_specs(b, b_count);
	sides[1] = account;
	account = (struct account){0};
}

static void free_sides(void)
{
	account_free(&sides[0]);
	account_free(&sides[1]);
}

/* What `print` writes of the sides; the caller's. */
static char *printed(bool (*print)(FILE *out, const struct beside *beside))
{
	const struct beside beside = {.account = {&sides[0], &sides[1]}, .file = "saved.json"};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	ck_assert(print(out, &beside));
	fclose(out);
	return text;
}

static const char *const lines[] = {
    "Two crossings beside each other",
    "  here    SYSCALL (system call 39)",
    "    KPTI on.",
    "  beside  SYSCALL (system call 39) out of saved.json",
    "    KPTI on.",
    "",
    "  instructions up to                                here    beside",
    "  into ring 0                                          0         0",
    "  SWAPGS                                               1         1",
    "  CR3: the kernel root                                 2         -",
    "  stack: kernel                                        1         -",
    "  call of C                                            3         1",
    "  back from C                                          3         2",
    "  stack: RSP0                                          1         1",
    "  CR3: the user root                                   1         -",
    "  stack: user                                          1         -",
    "  SWAPGS                                               1         1",
    "  into ring 3                                          1         1",
    "",
    "  in all                                            here    beside",
    "  in ring 0                                           15         7",
    "  reads of memory                                     32        16",
    "  writes of memory                                    16         8",
    "  words of frames                                      5         5",
    "  writes of CR3                                        2         2",
    "  exits to the VMM                                     0         0",
    "",
    "  instructions of                                   here    beside",
    "  entry                                               11         0",
    "  stub                                                 0         5",
    "  work                                                 2         2",
    "  getpid                                               1         0",
    "  tidy                                                 1         0",
    "",
    "R CR3    stack  instruction                      | R CR3    stack  instruction",
    "                main                             |                 (no symbol)",
    "3 user   user   syscall                          = 3 kernel user   int 0x80",
    "        | into ring 0: 0 here, 0 beside",
    "                entry                            |                 stub",
    "0 user   user   swapgs                           = 0 kernel kernel swapgs",
    "        | SWAPGS: 1 here, 1 beside",
    "0 user   user   mov rsp, cr3                     |",
    "0 user   none   mov cr3, rsp                     |",
    "        | CR3: the kernel root: 2                |",
    "0 kernel none   mov rsp, qword gs:[8]            |",
    "        | stack: kernel: 1                       |",
    "0 kernel kernel call tidy                        |",
    "                tidy                             |",
    "0 kernel kernel ret                              |",
    "                entry                            |",
    "0 kernel kernel call work                        = 0 kernel kernel call work",
    "        | call of C: 3 here, 1 beside",
    "                work                             |                 work",
    "0 kernel kernel call getpid                      | 0 kernel kernel nop",
    "                getpid                           |",
    "0 kernel kernel ret                              |",
    "                work                             |",
    "0 kernel kernel ret                              = 0 kernel kernel ret",
    "        | back from C: 3 here, 2 beside",
    "                entry                            |                 stub",
    "0 kernel kernel mov rsp, qword gs:[16]           = 0 kernel kernel mov rsp, rdi",
    "        | stack: RSP0: 1 here, 1 beside",
    "0 kernel RSP0   mov cr3, rdi                     |",
    "        | CR3: the user root: 1                  |",
    "0 user   RSP0   pop rsp                          |",
    "        | stack: user: 1                         |",
    "0 user   user   swapgs                           = 0 kernel entry  swapgs",
    "        | SWAPGS: 1 here, 1 beside",
    "0 user   user   sysret                           = 0 kernel entry  iretq",
    "        | into ring 3: 1 here, 1 beside",
    "                main                             |                 (no symbol)",
    "3 user   user   ret                              = 3 kernel user   ret",
};

START_TEST(prints_both)
{
	char *text, *line, *rest;

	read_sides(with_pti, COUNT(with_pti), without_pti, COUNT(without_pti));
	text = printed(beside_print);
	rest = text;
	for (size_t i = 0; i < COUNT(lines); i++) {
		line = strsep(&rest, "\n");
		ck_assert_ptr_nonnull(line);
		ck_assert_str_eq(line, lines[i]);
	}
	ck_assert_str_eq(rest, "");
	free(text);
	free_sides();
}
END_TEST

/* A long way is its functions, on both sides, and the mark at its end. */
START_TEST(folds_long_ways)
{
	enum { LONG = 220, FUNCTIONS = 20 };
	static struct spec longer[LONG];
	static const char *const names[FUNCTIONS] = {"fa", "fb", "fc", "fd", "fe", "ff", "fg",
	                                             "fh", "fi", "fj", "fk", "fl", "fm", "fn",
	                                             "fo", "fp", "fq", "fr", "fs", "ft"};
	char *text;

	for (size_t i = 0; i < LONG; i++)
		longer[i] = (struct spec){
		    0,    "kernel", "kernel", 0x10000 + i, names[i % 3 ? 0 : i / 3 % FUNCTIONS],
		    "nop"};
	longer[0] = without_pti[0];
	longer[1] = without_pti[1];
	longer[LONG - 2] = without_pti[7];
	longer[LONG - 1] = without_pti[8];
	read_sides(longer, LONG, without_pti, COUNT(without_pti));
	text = printed(beside_print);
	ck_assert_ptr_nonnull(strstr(text, "\n  6 more         "));
	ck_assert_ptr_nonnull(strstr(text, "\n      146 in fa  "));
	ck_assert_ptr_nonnull(strstr(text, "\n        4 in fh  "));
	ck_assert_ptr_null(strstr(text, "in fi  "));
	ck_assert_ptr_nonnull(strstr(text, "in 12 more "));
	ck_assert_ptr_nonnull(strstr(text, "= 0 kernel entry  iretq\n"));
	free(text);
	free_sides();
}
END_TEST

/* As JSON: every leg with its rows, which are all of them, and functions with all of them. */
START_TEST(tells_both_as_json)
{
	static const char *const keys[2] = {"here", "beside"};
	json_int_t next[2] = {0}, sum[2] = {0}, functions[2] = {0};
	char *text, *line, *rest;
	unsigned marks = 0;

	read_sides(with_pti, COUNT(with_pti), without_pti, COUNT(without_pti));
	text = printed(beside_print_json);
	rest = text;
	while ((line = strsep(&rest, "\n")) && *line) {
		json_t *object = json_loads(line, 0, NULL);

		ck_assert_ptr_nonnull(object);
		if (line == text) {
			ck_assert_str_eq(json_string_value(json_object_get(object, "beside")),
			                 "saved.json");
			ck_assert_int_eq(
			    json_integer_value(json_object_get(object, "instructions")), 7);
		}
		marks += json_object_get(object, "mark") != NULL;
		for (unsigned side = 0; side < 2; side++) {
			const json_t *of = json_object_get(object, keys[side]);

			if (json_is_integer(of))
				functions[side] += json_integer_value(of);
			if (!json_is_object(of))
				continue;
			ck_assert_int_eq(json_integer_value(json_object_get(of, "from")),
			                 next[side]);
			next[side] = json_integer_value(json_object_get(of, "to")) + 1;
			sum[side] += json_integer_value(json_object_get(of, "instructions"));
		}
		json_decref(object);
	}
	ck_assert_uint_eq(marks, 12);
	for (unsigned side = 0; side < 2; side++) {
		ck_assert_int_eq(next[side], (json_int_t)sides[side].count);
		ck_assert_int_eq(sum[side], (json_int_t)sides[side].sums[ACCOUNT_INSTRUCTIONS]);
		ck_assert_int_eq(functions[side], sum[side]);
	}
	free(text);
	free_sides();
}
END_TEST

/* ---- Hostile files -----------------------------------------------------------------------------
 */

/* Whatever was read can be put beside itself and another one, and nothing gets lost. */
static void check_beside(const struct account *a, const struct account *b)
{
	static struct marks marks[2];
	static struct steps steps;
	const struct account *const both[2] = {a, b};
	const struct marks *const of[2] = {&marks[0], &marks[1]};
	uint64_t sum[2] = {0};
	size_t next[2] = {0};
	bool shared = false;

	marks_find(a, &marks[0]);
	marks_find(b, &marks[1]);
	steps_find(both, of, &steps);
	for (size_t i = 0; i < steps.count; i++) {
		for (unsigned side = 0; side < 2; side++) {
			const struct leg *leg = &steps.list[i].leg[side];

			if (!leg->mark)
				continue;
			ck_assert_uint_eq(leg->from, next[side]);
			ck_assert_uint_ge(leg->mark->row, leg->from);
			next[side] = leg->mark->row + 1;
			sum[side] += leg->instructions;
		}
		shared = steps.list[i].leg[0].mark && steps.list[i].leg[1].mark;
		ck_assert(shared || a != b);
	}
	ck_assert(shared); /* the last one */
	for (unsigned side = 0; side < 2; side++) {
		ck_assert_uint_eq(next[side], both[side]->count);
		ck_assert_uint_eq(sum[side], both[side]->sums[ACCOUNT_INSTRUCTIONS]);
	}
}

static void print_beside(const struct account *a, const struct account *b)
{
	const struct beside beside = {.account = {a, b}, .file = "f"};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert(beside_print(out, &beside) && beside_print_json(out, &beside));
	fclose(out);
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		ck_assert(*line == '{' || strcspn(line, "\n") <= 100);
	free(text);
}

/* Rows of words that mean something, in any order. */
START_TEST(any_way_can_be_shown)
{
	static const char *const words[] = {"swapgs", "mov cr3, rax", "call f", "ret",
	                                    "nop",    "iretq",        "call",   "mov rsp, rax"};
	static const char *const roots[] = {"user", "kernel"};
	static const char *const stacks[] = {"user",  "none", "kernel", "RSP0",
	                                     "entry", "IST1", "?"};
	static const char *const names[] = {"f", "g",
	                                    "a_function_whose_name_is_longer_than_a_column", NULL};
	static struct spec any[2][600];
	size_t count[2];
	uint64_t seed = 7;

	for (unsigned round = 0; round < 150; round++) {
		for (unsigned side = 0; side < 2; side++) {
			count[side] = 2 + random_size(&seed, 9);
			for (size_t i = 0; i < count[side]; i++)
				any[side][i] = (struct spec){
				    (unsigned)random_next(&seed) % 3,
				    roots[random_next(&seed) % 2],
				    stacks[random_next(&seed) % 7],
				    0x1000 + random_next(&seed) % 64,
				    names[random_next(&seed) % 4],
				    words[random_next(&seed) % 8],
				};
			any[side][0].cpl = random_next(&seed) % 2 ? 3 : 0;
			any[side][count[side] - 1].cpl = 3;
		}
		read_sides(any[0], count[0], any[1], count[1]);
		check_beside(&sides[0], &sides[1]);
		check_beside(&sides[0], &sides[0]);
		print_beside(&sides[0], &sides[1]);
		free_sides();
	}
}
END_TEST

/* A file with a few bytes changed, left out or repeated is refused or makes sense. */
START_TEST(any_file_is_refused_or_read)
{
	char *text = written(with_pti, COUNT(with_pti), false);
	const size_t size = strlen(text);
	char *other = malloc(2 * size);
	uint64_t seed = 11;
	unsigned good = 0;

	ck_assert_ptr_nonnull(other);
	for (unsigned round = 0; round < 3000; round++) {
		size_t count = size;

		memcpy(other, text, size);
		for (uint64_t n = random_next(&seed) % 4 + 1; n; n--) {
			const size_t at = random_next(&seed) % count;
			const size_t part = random_size(&seed, 6) % (count - at);

			switch (random_next(&seed) % 4) {
			case 0:
				other[at] = (char)random_next(&seed);
				break;
			case 1:
				other[at] = "0123456789{}[]\",:-\\\n"[random_next(&seed) % 20];
				break;
			case 2:
				memmove(other + at, other + at + part, count - at - part);
				count -= part;
				break;
			default:
				if (count + part > 2 * size)
					break;
				memmove(other + at + part, other + at, count - at);
				count += part;
				break;
			}
		}
		if (read_bytes(other, count)) {
			good++;
			check_beside(&account, &account);
			print_beside(&account, &account);
		}
	}
	ck_assert_uint_gt(good, 10);
	account_free(&account);
	free(other);
	free(text);
}
END_TEST

/* ---- The two ends ------------------------------------------------------------------------------
 */

static bool take(void *to, const json_t *object)
{
	char why[ACCOUNT_WHY];
	const bool good = account_add(to, object, why);

	ck_assert_msg(good, "%s", why);
	return good;
}

/* What --anatomy writes is what --beside reads, and what it takes at once; a guest's files have
 * names of its own. */
START_TEST(reads_what_is_written)
{
	static struct anatomy_row rows[] = {
	    {.cpl = 3, .rip = 0x401000, .rsp = 0x7ff0, .size = 2, .bytes = {0x0f, 0x05}},
	    {.cpl = 0, .rip = UINT64_C(0xffffffff81000000), .size = 3, .bytes = {0x0f, 0x01, 0xf8}},
	    {.cpl = 0, .rip = UINT64_C(0xffffffff81000003), .size = 0},
	    {.cpl = 3, .rip = 0x401002, .rsp = 0x7ff0, .size = 1, .bytes = {0xc3}},
	};
	static struct symbol named[] = {{0x401000, 0x100, "main"}};
	static struct line in_file[] = {{0x401000, "sm\xf6rg\xe5s.c", 7}, {0x401100, NULL, 0}};
	const struct symbols symbols = {.list = named, .count = 1};
	const struct lines lines_of = {.list = in_file, .count = 2};
	struct anatomy anatomy = {.name = "syscall", .rows = rows, .count = COUNT(rows)};
	const struct anatomy_words words = {
	    .symbols = &symbols, .lines = &lines_of, .code = engine_code_open()};
	char path[] = "/tmp/rs_made_XXXXXX";
	FILE *out = fdopen(mkstemp(path), "w");
	struct account direct = {0};

	rows[1].hardware = (char *)"SWAPGS";
	ck_assert_ptr_nonnull(out);
	anatomy_print_json(out, &anatomy, &words);
	fclose(out);
	ck_assert_msg(read_and_listen(path), "%s", said);
	unlink(path);
	ck_assert(anatomy_objects(&anatomy, &words, take, &direct));
	ck_assert_uint_eq(account.count, COUNT(rows));
	ck_assert_uint_eq(direct.count, COUNT(rows));
	ck_assert_str_eq(account.rows[0].instruction, "syscall");
	ck_assert_str_eq(account.rows[1].instruction, "swapgs");
	ck_assert_str_eq(direct.rows[2].instruction, "(bad)");
	ck_assert_str_eq(account.rows[0].symbol, "main");
	ck_assert_str_eq(direct.rows[0].symbol, "main");
	ck_assert_ptr_null(account.rows[1].symbol);
	check_beside(&account, &direct);
	account_free(&account);
	account_free(&direct);
	engine_code_close(words.code);
}
END_TEST

Suite *beside_suite(void)
{
	Suite *suite = suite_create("beside");
	TCase *tc = tcase_create("beside");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, reads_an_account);
	tcase_add_test(tc, reads_what_may_be);
	tcase_add_loop_test(tc, refuses_what_may_not_be, 0, COUNT(wrong));
	tcase_add_test(tc, refuses_whole_files);
	tcase_add_test(tc, finds_marks);
	tcase_add_test(tc, finds_marks_of_odd_ways);
	tcase_add_test(tc, keeps_the_end_of_many_marks);
	tcase_add_test(tc, prints_both);
	tcase_add_test(tc, folds_long_ways);
	tcase_add_test(tc, tells_both_as_json);
	tcase_add_test(tc, any_way_can_be_shown);
	tcase_add_test(tc, any_file_is_refused_or_read);
	tcase_add_test(tc, reads_what_is_written);
	suite_add_tcase(suite, tc);
	return suite;
}
