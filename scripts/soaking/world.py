"""Three homes, sshd, Prosody, and a line between each of them that can break."""

import os
import pathlib
import pwd
import signal
import socket
import subprocess
import threading
import time

NAMES = ("alpha", "beta", "gamma")
XMPP = """
[xmpp]
jid = "alice@xmpp.test"
password_command = "echo pw-alice"
host = "127.0.0.1"
port = {port}
ca_file = "{ca}"
"""


def run(*args, cwd=None):
    r = subprocess.run(args, cwd=cwd, capture_output=True, stdin=subprocess.DEVNULL, env=dict(os.environ, LC_ALL="C"))
    if r.returncode:
        raise SystemExit(f"{args}: {r.stdout.decode(errors='replace')}{r.stderr.decode(errors='replace')}")
    return r.stdout.decode(errors="replace")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Line:
    """Forwards to a port. `mode`: pass; freeze (bytes wait, connections stay); cut (what is open ends, nothing new)."""

    def __init__(self, to):
        self.to, self.mode, self.open = to, "pass", set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def set(self, mode):
        self.mode = mode
        if mode == "cut":
            self.drop()

    def drop(self):
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        while True:
            a, _ = self.listener.accept()
            try:
                if self.mode == "cut":
                    raise OSError
                b = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                a.close()
                continue
            left = [2]
            for end in (a, b):
                # As sshd and ssh do: a line that holds small packets back would be measured itself.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open |= {a, b}
            for f, t in ((a, b), (b, a)):
                threading.Thread(target=self.pump, args=(f, t, left), daemon=True).start()

    def pump(self, a, b, left):
        try:
            while data := a.recv(65536):
                while self.mode == "freeze":
                    time.sleep(0.1)
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        left[0] -= 1
        if left[0] == 0:
            self.open -= {a, b}
            a.close()
            b.close()


class Server:
    """A server program that listens on a port."""

    def __init__(self, args, port, log):
        self.args, self.port, self.log, self.child = args, port, log, None

    def start(self):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{self.args[0]} does not start, see {self.log}")

    def stop(self, how=signal.SIGTERM):
        if self.child:
            self.child.send_signal(how)
            self.child.wait()
            self.child = None


class Home:
    """A device: a folder of its own as its home, and its agent."""

    def __init__(self, world, n):
        self.world, self.n, self.name, self.dir = world, n, NAMES[n], world.dir / NAMES[n]
        (self.dir / ".ssh").mkdir(parents=True, mode=0o700)
        self.share, self.agent, self.life = self.dir / "share", None, 0
        # Not at work: killed, stopped or paused. `awake`: at work without a break since then.
        self.away, self.awake, self.wanted = {"dead"}, None, False
        self.lock = threading.RLock()

    def command(self, *args):
        return [self.world.program, *args]

    def env(self):
        return {"HOME": str(self.dir), "USER": self.world.user, "PATH": os.environ["PATH"], "TZ": "UTC", "RUST_BACKTRACE": "1"}

    def verb(self, *args, timeout=600, raw=False):
        """(exit code, text); the code is None if there was no answer in time."""
        try:
            r = subprocess.run(self.command(*args), env=self.env(), cwd=self.dir, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout)
        except subprocess.TimeoutExpired:
            return None, ""
        return r.returncode, r.stdout if raw else (r.stdout + r.stderr).decode(errors="replace")

    def ok(self, *args):
        code, text = self.verb(*args)
        if code:
            raise SystemExit(f"{self.name}: sharelock {args}: {code}\n{text}")
        return text

    def mark(self, why, on):
        with self.lock:
            (self.away.add if on else self.away.discard)(why)
            if self.away:
                self.awake = None
            elif self.awake is None:
                self.awake = time.monotonic()

    def start(self):
        with self.lock:
            self.life, self.wanted = self.life + 1, True
            with open(self.dir / "agent.txt", "ab") as log:
                self.agent = subprocess.Popen(
                    self.command("run", "--verbose"), env=self.env(), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        self.mark("dead", False)

    def kill(self, how=signal.SIGKILL):
        self.mark("dead", True)
        with self.lock:
            self.wanted = False
            self.agent.send_signal(how)
            self.agent.wait(30)

    def sample(self):
        """Memory (KiB), descriptors, threads and processor time (s) of the agent."""
        pid = pathlib.Path(f"/proc/{self.agent.pid}")
        rollup = dict(line.split(":", 1) for line in (pid / "smaps_rollup").read_text().splitlines()[1:])
        size = lambda key: int(rollup[key].split()[0])
        stat = (pid / "stat").read_text().rsplit(")", 1)[1].split()
        cpu = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        return size("Rss"), size("Private_Clean") + size("Private_Dirty"), len(os.listdir(pid / "fd")), int(stat[17]), cpu


class World:
    def __init__(self, program, dir):
        self.program, self.dir, self.user = str(program), pathlib.Path(dir), pwd.getpwuid(os.getuid()).pw_name
        self.nodes = self.dir / "nodes"
        for d in ("nodes", "sshd", "prosody/data", "prosody/certs"):
            (self.dir / d).mkdir(parents=True)
        for node in ("origin.git", "usb.git"):
            run("git", "init", "-q", "--bare", node, cwd=self.nodes)
        self.sshd, self.prosody = self.make_sshd(), self.make_prosody()
        self.homes = [Home(self, n) for n in range(3)]
        self.ssh_lines = [Line(self.sshd.port) for _ in self.homes]
        self.xmpp_lines = [Line(self.prosody.port) for _ in self.homes]
        for home in self.homes:
            self.set_up(home)

    def make_sshd(self):
        d, port = self.dir / "sshd", free_port()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(d / "host"))
        # The account's own start-up files are not what is measured: bash reads ~/.bashrc for each command.
        (d / "home").mkdir()
        (d / "config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nAuthorizedKeysFile {d}/authorized_keys\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100\nHostKey {d}/host\n"
            f"SetEnv HOME={d}/home\n"
        )
        (d / "authorized_keys").write_text("")
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        server = Server(["/usr/sbin/sshd", "-D", "-e", "-f", str(d / "config")], port, d / "log")
        server.start()
        return server

    def make_prosody(self):
        d, port = self.dir / "prosody", free_port()
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        certs = d / "certs"
        run("openssl", "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=soak",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", cwd=certs)  # fmt: skip
        run("openssl", "req", *new, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=xmpp.test", cwd=certs)
        (certs / "names").write_text("subjectAltName=DNS:xmpp.test\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n")
        run("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-out", "leaf.crt", "-extfile", "names", cwd=certs)  # fmt: skip
        (certs / "server.crt").write_text((certs / "leaf.crt").read_text() + (certs / "ca.crt").read_text())
        text = (pathlib.Path(__file__).parents[2] / "tests/xmpp/prosody.cfg.lua").read_text()
        filled = {"DIR": d, "START": port, "DIRECT": free_port(), "REQUIRE": "true", "DISABLED": "", "ENABLED": ', "pep"'}
        for key, value in filled.items():
            text = text.replace(f"@{key}@", str(value))
        (d / "prosody.cfg.lua").write_text(text)
        server = Server(["prosody", "--config", str(d / "prosody.cfg.lua"), "-F"], port, d / "stdout.log")
        server.start()
        run("prosodyctl", "--config", str(d / "prosody.cfg.lua"), "register", "alice", "xmpp.test", "pw-alice")
        return server

    def set_up(self, home):
        line = self.ssh_lines[home.n]
        host = " ".join((self.dir / "sshd/host.pub").read_text().split()[:2])
        (home.dir / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{line.port} {host}\n")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home.dir / ".ssh/id_ed25519"))
        with open(self.dir / "sshd/authorized_keys", "a") as f:
            f.write((home.dir / ".ssh/id_ed25519.pub").read_text())
        (home.dir / "pw").write_text("secret\n")
        url = f"ssh://{self.user}@127.0.0.1:{line.port}{self.nodes}/origin.git"
        recovery, first = str(self.dir / "alpha/recovery"), ["--password-file", str(home.dir / "pw")]
        how = ["--device", home.name, "--start-without-password"]
        if home.n == 0:
            home.ok(*first, "init", *how, "--remote", url, "--create", "--recovery-key-out", recovery)
        else:
            home.ok(*first, "join", *how, "--recovery-key-file", recovery, url)
        home.ok("remote", "add", "usb", str(self.nodes / "usb.git"))
        ca = self.dir / "prosody/certs/ca.crt"
        with open(home.dir / ".config/sharelock/config.toml", "a") as f:
            f.write(XMPP.format(port=self.xmpp_lines[home.n].port, ca=ca))

    def end(self):
        for home in self.homes:
            if home.agent and home.agent.poll() is None:
                home.agent.send_signal(signal.SIGCONT)
                home.kill()
        self.sshd.stop()
        self.prosody.stop(signal.SIGKILL)
