"""What goes wrong meanwhile, and the verbs that people run beside the agents."""

import os
import shutil
import signal
import threading
import time

# What a verb may answer while lines are cut and decisions wait.
FINE = {"status": {0}, "log": {0}, "verify": {0}, "sync": {0, 3, 5}, "pause": {0}, "resume": {0}, "restore": {0, 3}, "wait": {0, 1, 3, 5}}
# An answer with exit code 1 that is right: the file moved meanwhile; the others pushed all the time.
SAID = {"restore": "no such version", "sync": "in sync but for"}


class Faults:
    def __init__(self, world, say, random, stop):
        self.world, self.say, self.random, self.stop, self.counts, self.timers = world, say, random, stop, {}, []
        # The one that is never killed shows whether memory grows in an hour.
        self.spared = random.randrange(3)

    def later(self, seconds, f, *args):
        t = threading.Timer(seconds, f, args)
        t.daemon = True
        t.start()
        self.timers.append(t)

    def run(self):
        kinds = {"cut ssh": 4, "freeze ssh": 4, "drop ssh": 3, "cut xmpp": 2, "freeze xmpp": 2, "drop xmpp": 2, "restart sshd": 2,
                 "prosody down": 1.5, "kill": 4, "freeze agent": 4, "node away": 2, "all cut": 1}  # fmt: skip
        while not self.stop.wait(self.random.uniform(10, 35)):
            kind = self.random.choices(list(kinds), list(kinds.values()))[0]
            n, lasts = self.random.randrange(3), self.random.choice([2, 10, 30, 60, 100])
            self.counts[kind] = self.counts.get(kind, 0) + 1
            try:
                self.one(kind, n, lasts)
            except OSError as e:
                self.say(f"fault {kind}: {e}", odd=True)

    def one(self, kind, n, lasts):
        home, w = self.world.homes[n], self.world
        line = (w.ssh_lines if "ssh" in kind else w.xmpp_lines)[n]
        self.say(f"fault: {kind}, {home.name}, {lasts} s")
        if kind in ("cut ssh", "cut xmpp", "freeze ssh", "freeze xmpp"):
            line.set(kind.split()[0])
            self.later(lasts, line.set, "pass")
        elif kind.startswith("drop"):
            line.drop()
        elif kind == "all cut":
            for each in w.ssh_lines + w.xmpp_lines:
                each.set("cut")
                self.later(lasts, each.set, "pass")
        elif kind == "restart sshd":
            w.sshd.stop()
            self.stop.wait(min(lasts, 10))
            w.sshd.start()
        elif kind == "prosody down":
            w.prosody.stop(self.random.choice([signal.SIGTERM, signal.SIGKILL]))
            self.stop.wait(lasts)
            w.prosody.start()
        elif kind == "kill" and n != self.spared:
            if home.wanted and "stopped" not in home.away:
                home.kill(self.random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
                self.later(self.random.choice([0, 1, lasts]), home.start)
        elif kind == "freeze agent" and home.wanted and "stopped" not in home.away:
            home.mark("stopped", True)
            home.agent.send_signal(signal.SIGSTOP)
            self.later(lasts, self.thaw, home)
        elif kind == "node away" and (w.nodes / "usb.git").exists():
            os.rename(w.nodes / "usb.git", w.nodes / "usb.away")
            self.later(lasts, self.back)

    def thaw(self, home):
        home.agent.send_signal(signal.SIGCONT)
        home.mark("stopped", False)

    def back(self):
        away = self.world.nodes / "usb.away"
        if away.exists():
            if (self.world.nodes / "usb.git").exists():
                self.say("an agent made a node where none was", odd=True)
                shutil.rmtree(self.world.nodes / "usb.git")
            os.rename(away, self.world.nodes / "usb.git")

    def heal(self):
        """Everything works again."""
        for t in self.timers:
            t.cancel()
        w = self.world
        for line in w.ssh_lines + w.xmpp_lines:
            line.set("pass")
        self.back()
        for server in (w.sshd, w.prosody):
            if not server.child:
                server.start()
        for home in w.homes:
            if "stopped" in home.away:
                self.thaw(home)
            if not home.wanted:
                home.start()
            home.verb("resume")
            home.mark("paused", False)


class Verbs:
    """Verbs, one after the other, on homes chosen by the seed."""

    def __init__(self, world, say, random, stop, ledger):
        self.world, self.say, self.random, self.stop, self.ledger, self.table = world, say, random, stop, ledger, {}

    def run(self):
        kinds = {"status": 5, "log": 3, "verify": 2, "sync": 4, "pause": 1.5, "restore": 3, "wait": 1}
        while not self.stop.wait(self.random.uniform(4, 14)):
            self.one(self.random.choices(list(kinds), list(kinds.values()))[0], self.random.choice(self.world.homes))

    def one(self, kind, home):
        r, args = self.random, [kind]
        files = [p for p in home.share.rglob("f*.txt") if p.is_file()]
        name = str((r.choice(sorted(files)) if files else home.share).relative_to(home.share))
        if kind == "status":
            args += r.choice([[], ["--json"], ["--files"]])
        elif kind == "log":
            args += r.choice([[], [name], ["--deleted"], ["--json", name]])
        elif kind == "pause":
            home.mark("paused", True)
            args += ["--for", "90s"]
        elif kind == "restore":
            args += [name, "--at", "1"]
        elif kind == "wait":
            args += ["--timeout", "20"]
        self.ask(home, *args)
        if kind == "pause":
            self.stop.wait(r.choice([3, 20, 40]))
            self.ask(home, "resume")
            home.mark("paused", False)

    def ask(self, home, *args):
        began, away, life = time.monotonic(), set(home.away), home.life
        code, text = home.verb(*args, timeout=240)
        took = time.monotonic() - began
        self.say(f"verb {' '.join(args)!r} on {home.name}: {code} after {took:.0f} s")
        row = self.table.setdefault(args[0], {})
        row[code] = row.get(code, 0) + 1
        calm = life == home.life and not (away | home.away) & {"dead", "stopped"}
        fine = code in FINE[args[0]] or code == 1 and (not calm or SAID.get(args[0], "\0") in text)
        if not fine or (took > 120 and calm):
            last = " / ".join(text.strip().splitlines()[-4:])
            self.say(f"verb {' '.join(args)!r} on {home.name} (life {life}, away {sorted(away)}): {code} after {took:.0f} s: {last[-500:]}", odd=True)
        return code, text
