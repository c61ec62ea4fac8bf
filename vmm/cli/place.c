#include "vmm/cli/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "vmm/base/message.h"

static const char self[] = "/proc/self/exe";

bool place_program(char path[PATH_MAX])
{
	return realpath(self, path) ||
	       message_error("cannot find this program's file by %s: %s", self, strerror(errno));
}

/* "FOLDER/NAME" in `path`, if that is a file which can be used so (access(2)). */
static bool is_there(char path[PATH_MAX], int folder_size, const char *folder, const char *name,
                     int mode)
{
	struct stat status;
	int size = snprintf(path, PATH_MAX, "%.*s/%s", folder_size, folder, name);

	return size < PATH_MAX && stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
	       access(path, mode) == 0;
}

/* The same for a name relative to the program's folder, without ".." in the result. */
static bool is_beside(char path[PATH_MAX], const char *name, int mode)
{
	char program[PATH_MAX], found[PATH_MAX];

	if (!realpath(self, program))
		return false;
	return is_there(found, (int)(strrchr(program, '/') - program), program, name, mode) &&
	       realpath(found, path);
}

static bool is_in_path(char path[PATH_MAX], const char *name)
{
	const char *folder = getenv("PATH");

	while (folder) {
		int size = (int)strcspn(folder, ":");

		/* An empty one is the current folder. */
		if (is_there(path, size ? size : 1, size ? folder : ".", name, X_OK))
			return true;
		folder = folder[size] ? folder + size + 1 : NULL;
	}
	return false;
}

bool place_tool(char path[PATH_MAX], const char *name)
{
	/* A build folder lies in the tree, or one level deeper (build/asan). */
	static const char *const beside[] = {"../tools/", "../../tools/", "../bin/", ""};
	char inside[64];

	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(inside, sizeof(inside), "%s%s", beside[i], name);
		if (is_beside(path, inside, X_OK))
			return true;
	}
	return is_in_path(path, name);
}

bool place_is_command(const char *name)
{
	char found[PATH_MAX];
	struct stat program, command;

	if (!strchr(name, '/')) {
		if (!is_in_path(found, name))
			return false;
		name = found;
	}
	return stat(self, &program) == 0 && stat(name, &command) == 0 &&
	       program.st_dev == command.st_dev && program.st_ino == command.st_ino;
}

const char *place_guest(const char *name)
{
	static char *installed;
	char path[PATH_MAX], inside[sizeof("../lib/ringscope/") + NAME_MAX];

	if (strlen(name) > NAME_MAX)
		return name;
	snprintf(inside, sizeof(inside), "../lib/ringscope/%s", name);
	if (!is_beside(path, inside, R_OK))
		return name;
	free(installed);
	installed = strdup(path);
	return installed ? installed : name;
}
