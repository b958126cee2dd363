"""glm top and glm chat on a terminal of their own (a pty), typed at like a person would.

usage: terminal.py GLM FOLDER      the gateway is GLM_GATEWAY; files go to FOLDER
"""

import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time
import fcntl

glm, folder = sys.argv[1:3]


class Terminal:
    """A command on a pty; what it writes is collected."""

    def __init__(self, *arguments, columns=100, rows=30):
        self.text = ""
        self.id, self.pty = pty.fork()
        if self.id == 0:
            os.environ["TERM"] = "xterm"
            os.execv(glm, ["glm", *arguments])
        fcntl.ioctl(self.pty, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.pty, text.encode())

    def wait(self, pattern, seconds=20):
        """Waits for text that was not waited for before; what it matches is consumed."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text, re.S)):
            if time.monotonic() > end:
                raise SystemExit(f"waited for {pattern!r}, got {self.text[-2000:]!r}")
            if select.select([self.pty], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.pty, 65536).decode(errors="replace")
                except OSError:  # the command has ended
                    time.sleep(0.1)
        self.text = self.text[found.end() :]
        return found

    def end(self, seconds=10):
        """The exit status."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.pty], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.pty, 65536).decode(errors="replace")
                except OSError:
                    pass
            done, status = os.waitpid(self.id, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.id, 9)
        raise SystemExit(f"did not end: {self.text[-500:]!r}")


# The live view: two frames, then q; the terminal is given back.
top = Terminal("top", "--interval", "0.3")
top.wait(r"\x1b\[\?1049h")
for _ in range(2):
    top.wait(r"ready, 2x1.*answers .*prompts .*workers.*w0 .*w1 ")
top.type("q")
assert top.end() == 0, top.text
assert "\x1b[?1049l" in top.text and "\x1b[?25h" in top.text, top.text

top = Terminal("top", columns=40, rows=8)
frame = top.wait(r"\x1b\[H(.*?)\x1b\[J").group(1)
lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).rstrip("\r") for line in frame.split("\n")]
assert len(lines) <= 8 and all(len(line) <= 40 for line in lines), lines
top.type("\x03")
assert top.end() == 0, top.text

# A conversation: several lines, a file, the history, an unknown command, a save.
with open(f"{folder}/notes.txt", "w") as notes:
    notes.write("Note: heron=719.\n")
chat = Terminal("chat", "--temperature", "0", "--max-tokens", "4")
chat.wait("listens")
chat.wait("> ")
chat.type(f"/file {folder}/notes.txt\r")
chat.wait("goes with the next question")
chat.wait("> ")
chat.type("What is it?\x1b\rheron=\r")
chat.wait("719")
chat.wait("> ")
chat.type("/frob\r")
chat.wait("no command")
chat.wait("> ")
chat.type(f"/save {folder}/talk.json\r")
chat.wait("saved to")
chat.wait("> ")
chat.type("\x1b[A\x1b[A")
chat.wait("/frob")
chat.type("\x03")
chat.wait("> ")
chat.type("\x04")
assert chat.end() == 0, chat.text

with open(f"{folder}/talk.json") as saved:
    turns = json.load(saved)["messages"]
assert [turn["role"] for turn in turns] == ["user", "assistant"], turns
assert turns[0]["content"].endswith("Note: heron=719.\n\nWhat is it?\nheron="), turns
history = f"{os.environ['XDG_STATE_HOME']}/glm/chat-history"
assert os.stat(history).st_mode & 0o77 == 0
with open(history) as lines:
    typed = [json.loads(line) for line in lines]
assert typed[1] == "What is it?\nheron=", typed

# The next conversation begins with what was typed in this one.
chat = Terminal("chat")
chat.wait("> ")
chat.type("\x1b[A")
chat.wait("/save ")
chat.type("\x03\x03")
assert chat.end() == 0, chat.text
