"""What kvmbox and get-kernel say, and how they end when something cannot be done."""
import sys

EXIT_USAGE, EXIT_TIMEOUT, EXIT_BOX, EXIT_PIPE = 2, 124, 125, 141


class Trouble(Exception):
    """Ends the program with this status and message; details (of a log, say) stand behind the message."""

    def __init__(self, status, text, details=""):
        super().__init__(text)
        self.status, self.text, self.details = status, text, details


def last_words(**said):
    """For a message's details: the last lines of what each of these said that can be read (bytes)."""
    text = ""
    for who, what in said.items():
        lines = [line for line in what.decode(errors="replace").splitlines() if line.isprintable() and line]
        if lines:
            text += f"--- end of what the {who} said\n" + "\n".join(lines[-15:]) + "\n"
    return text


class Say:
    """Messages on standard error, and one line of progress that changes, on a terminal only."""

    def __init__(self, name="kvmbox"):
        self.name, self.quiet, self.shown = name, False, False

    def line(self, text):
        self.clear()
        try:
            sys.stderr.write(f"{self.name}: {text}\n")
            sys.stderr.flush()
        except OSError:
            pass  # nobody listens: nothing to do about it

    def note(self, text):
        """What can be left out with --quiet."""
        if not self.quiet:
            self.line(text)

    def progress(self, text):
        if not self.quiet and sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{self.name}: {text}")
            sys.stderr.flush()
            self.shown = True

    def clear(self):
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
        self.shown = False
