"""Makes a vault with hostile names and a history of a year, and its report: vault.py PROGRAM OUT."""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

# What must stand on the page as it is written here, if it is shown there.
HOSTILE = [
    b"<script>document.title='broken'<!--",
    b"\"'><img src=x onerror=document.title='broken'>",
    b"<style>*{display:none}",
    b"<iframe srcdoc='&lt;script>alert(1)<'>",
    b"line\nbreak\ttab\x1b[31m",
    "\u202egpj.exe \u2066".encode(),
    b"not utf-8 \xff\xfe",
    b"&lt;b&gt; &#x3c; ]]>",
    "\u05e9\u05dc\u05d5\u05dd \U0001f469\u200d\U0001f680 zero\u200bwidth".encode(),
    b"long" + b"x" * 251,
    b"https:example.org ?q=<a href=javascript:alert(1)>",
]


class Home:
    def __init__(self, program: str, root: str, name: str):
        self.program, self.dir = program, os.path.join(root, name)
        os.makedirs(os.path.join(self.dir, "share"))
        self.write("../pw", b"secret\n")

    def write(self, name, content: bytes):
        path = os.path.join(os.fsencode(os.path.join(self.dir, "share")), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content)

    def run(self, *args: str, expect=(0,), at=None) -> str:
        env = {"HOME": self.dir, "PATH": os.environ["PATH"], "TZ": "UTC"}
        command = [self.program, "--password-file", os.path.join(self.dir, "pw"), *args]
        if at is not None:
            # The program asks the kernel for the time. Under qemu it asks qemu, which is linked dynamically (as scripts/years-check).
            date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
            command = ["faketime", "-f", f"@{date}", f"qemu-{os.uname().machine}", *command]
        done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode not in expect:
            sys.exit(f"{args}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def main(program: str, out: str) -> None:
    program, out = os.path.abspath(program), os.path.abspath(out)
    root = tempfile.mkdtemp(prefix="report-check-")
    try:
        make(program, root, out)
    finally:
        shutil.rmtree(root)


def make(program: str, root: str, out: str) -> None:
    rng = random.Random(1)
    now = int(time.time())
    year_ago = now - 360 * 86400
    a, b = Home(program, root, "a"), Home(program, root, "b")
    for n, name in enumerate(HOSTILE):
        a.write(os.path.join(name, name), rng.randbytes(30_000 * (n + 1)))
    a.write("<u>todo\".txt", b"one\n")
    node, key = os.path.join(root, "node<b>'.git"), os.path.join(root, "rk")
    a.run("init", "--device", "<i>a'\"&", "--remote", node, "--create", "--recovery-key-out", key, "--start-without-password", at=year_ago)
    b.run("join", node, "--device", "<script>b", "--recovery-key-file", key, "--start-without-password", at=year_ago)
    # Under qemu each takes some seconds: a few days in the year, and on some more than one change.
    days = [2, 3, 9, 40, 41, 42, 95, 130, 170, 171, 172, 220, 228, 229, 300, 301, 340, 355]
    for n, day in enumerate(days):
        home = [a, a, b][n % 3]
        for edit in range([1, 3, 1, 6, 1, 1][n % 6]):
            home.write(f"notes/{n}", rng.randbytes(rng.choice([200, 20_000, 400_000])))
            home.run("sync", at=year_ago + day * 86400 + edit * 600)
    for home, text in [(a, b"from a\n"), (b, b"from b, later\n")]:
        home.write("<u>todo\".txt", text)
    for home in [a, b, a]:
        home.run("sync", expect=(0, 3))
    usb = os.path.join(root, "usb<img src=x>.git")
    a.run("remote", "add", "--create", "usb", usb)
    os.rename(usb, usb + ".away")
    a.write("new", b"not on usb")
    a.run("sync", expect=(5,))
    if os.path.exists(out):
        os.remove(out)
    print(a.run("report", "--out", out), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
