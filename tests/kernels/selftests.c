/*
 * Linux's own tests of its entry code, one after the other, on whatever kernel this is: what each
 * said and how it ended, so that two kernels can be compared.
 *
 *   selftests FOLDER NAME...     the programs to run, FOLDER/NAME
 *
 * A line of a program is told once, as "NAME: TIMES LINE", without addresses and seconds, which
 * differ from run to run; what it is about to do is not told.  At its end comes "NAME: exit STATUS"
 * or "NAME: signal NUMBER".
 */
#include <ctype.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/wait.h>

enum { LINES = 200, LENGTH = 160, TIME_LIMIT = 60, NOT_RUN = 126 };

static const char hexadecimal[] = "0123456789abcdefABCDEF", decimal[] = "0123456789.";

struct said {
	char line[LENGTH];
	unsigned count;
};

/* In place: hexadecimal digits behind 0x or RIP= become X, a number with a point becomes N. */
static void leave_numbers_out(char *line)
{
	char *to = line;

	for (const char *at = line; *at;) {
		const size_t size = strspn(at, decimal);
		const size_t mark = !strncmp(at, "0x", 2) ? 2 : !strncmp(at, "RIP=", 4) ? 4 : 0;

		if (mark) {
			at += mark + strspn(at + mark, hexadecimal);
			*to++ = 'X';
		} else if (isdigit(*at) && memchr(at, '.', size)) {
			at += size;
			*to++ = 'N';
		} else {
			*to++ = *at++;
		}
	}
	*to = '\0';
}

static void count_line(struct said *said, const char *line)
{
	while (said->count && strcmp(said->line, line) != 0)
		said++;
	memcpy(said->line, line, strlen(line) + 1);
	said->count++;
}

static bool tell_output(const char *name, int output)
{
	static struct said all[LINES];
	char line[LENGTH];
	FILE *in = fdopen(output, "r");
	bool room = true;

	if (!in)
		return false;
	memset(all, 0, sizeof(all));
	rewind(in);
	while (room && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		leave_numbers_out(line);
		if (strncmp(line, "[RUN]", 5) != 0)
			count_line(all, line);
		room = !all[LINES - 2].count;
	}
	fclose(in);
	for (const struct said *said = all; said->count; said++)
		printf("%s: %u %s\n", name, said->count, said->line);
	return room;
}

/* In a session of its own, with nothing to read, and not for ever. */
__attribute__((noreturn)) static void become(const char *name, int output)
{
	setsid();
	if (!freopen("/dev/null", "r", stdin) || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(NOT_RUN);
	alarm(TIME_LIMIT);
	execl(name, name, (char *)NULL);
	_exit(NOT_RUN);
}

static bool run(const char *name)
{
	const int output = memfd_create(name, MFD_CLOEXEC);
	const pid_t program = output < 0 ? -1 : fork();
	int status;

	if (program == 0)
		become(name, output);
	if (program < 0 || waitpid(program, &status, 0) != program)
		return false;
	kill(-program, SIGKILL); /* what it has left behind */
	if (!tell_output(name, output))
		return false;
	if (WIFEXITED(status))
		printf("%s: exit %d\n", name, WEXITSTATUS(status));
	else
		printf("%s: signal %d\n", name, WTERMSIG(status));
	return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
	if (argc < 2 || chdir(argv[1]) < 0) {
		perror("selftests");
		return EXIT_FAILURE;
	}
	for (int i = 2; i < argc; i++) {
		if (!run(argv[i])) {
			fprintf(stderr, "selftests: cannot run %s, or it says too much\n", argv[i]);
			return EXIT_FAILURE;
		}
	}
	return EXIT_SUCCESS;
}
