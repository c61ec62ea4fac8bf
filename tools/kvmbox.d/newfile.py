"""A file that takes its place when it is whole."""

import errno
import os
import secrets
import tempfile


class NewFile:
    """Has no name until then, so that nothing is left behind however this process ends. Where the file system has no
    such files (FAT, some network ones) it has one, which goes with it."""

    def __init__(self, path):
        """OSError: nothing can be written there."""
        self.path, self.name = path, None
        self.folder, self.base = os.path.split(path)
        try:
            handle = os.open(self.folder, os.O_TMPFILE | os.O_RDWR, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
            handle, self.name = tempfile.mkstemp(prefix=f".{self.base}.", dir=self.folder)
        self.file = os.fdopen(handle, "wb")

    def write(self, data):
        self.file.write(data)

    def link(self, path):
        # With a descriptor for the folder it is linkat, which follows the link in /proc.
        folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        try:
            os.link(f"/proc/self/fd/{self.file.fileno()}", path, src_dir_fd=folder)
        finally:
            os.close(folder)

    def keep(self, mode):
        """Puts it in its place, over what is there. OSError: it is not, and what was there is untouched."""
        self.file.flush()
        os.fchmod(self.file.fileno(), mode)
        try:
            if self.name is None:
                self.link(self.path)
                self.file.close()
                return
        except FileExistsError:
            name = os.path.join(self.folder, f".{self.base}.{secrets.token_hex(4)}")
            self.link(name)
            self.name = name
        os.rename(self.name, self.path)
        self.name = None
        self.file.close()

    def drop(self):
        """Nothing is left of it."""
        try:
            self.file.close()
        except OSError:
            pass
        if self.name is not None:
            os.unlink(self.name)
            self.name = None
