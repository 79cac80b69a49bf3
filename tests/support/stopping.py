"""What a server runs instead of git's command: git's command, with both ways counted in pkt-lines (gitprotocol-common) and, where a
pack stands bare, in pieces of 1,000 bytes. After as many as the file `stop` says, the conversation stands still for good, and the
file `stopped` is there, which says where that was.

    python3 stopping.py FOLDER     (the command is in SSH_ORIGINAL_COMMAND)
"""

import os
import subprocess
import sys
import threading

folder = sys.argv[1]
command = os.environ["SSH_ORIGINAL_COMMAND"]
if not command.startswith(("git-upload-pack ", "git-receive-pack ")):
    # What makes a repository and sets its HEAD is no pkt-lines.
    os.execvp("sh", ["sh", "-c", command])
try:
    with open(os.path.join(folder, "stop")) as f:
        left = int(f.read())
    # One conversation only: whoever connects anew is not stopped.
    os.unlink(os.path.join(folder, "stop"))
except FileNotFoundError:
    left = -1

git = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
lock = threading.Lock()


def counted(what):
    """One more is about to go on; does not return if it is the one too many."""
    global left
    with lock:
        if left == 0:
            with open(os.path.join(folder, "stopping"), "w") as f:
                f.write(f"{command.split()[0]}: {what}")
            os.rename(os.path.join(folder, "stopping"), os.path.join(folder, "stopped"))
            # The lock is kept, so the other way stands still, too; until the line is cut.
            while os.read(0, 1 << 16):
                pass
            os._exit(1)
        left -= 1


def carry(name, source, sink):
    try:
        while head := source.read(4):
            if head == b"PACK":
                piece = head
                while piece:
                    counted(f"{name} a piece of a pack")
                    sink.write(piece)
                    sink.flush()
                    piece = source.read1(1000)
                break
            length = int(head, 16)
            rest = source.read(length - 4) if length > 4 else b""
            counted(f"{name} {(head + rest)[:24]!r}")
            sink.write(head + rest)
            sink.flush()
    except (BrokenPipeError, ValueError):
        pass
    sink.close()


threading.Thread(target=carry, args=("to", sys.stdin.buffer, git.stdin), daemon=True).start()
carry("from", git.stdout, sys.stdout.buffer)
os._exit(git.wait())
