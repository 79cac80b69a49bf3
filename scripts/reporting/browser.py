"""Looks at a report in headless Chromium, by its remote debugging protocol: browser.py PAGE OUT.

Nothing beside Python's library: the browser listens on this machine, on a port that it chooses, and a WebSocket is a few lines.
"""
import base64
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

from vault import HOSTILE

SIZES = {"narrow": (360, 740), "wide": (1280, 900)}
SCHEMES = ["light", "dark"]


class Socket:
    """A WebSocket's client, as far as it is needed: text frames, and answers of any length (RFC 6455)."""

    def __init__(self, url: str):
        host, path = url.removeprefix("ws://").split("/", 1)
        name, port = host.split(":")
        self.s = socket.create_connection((name, int(port)), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall(
            f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            sys.exit(f"no WebSocket: {head!r}")
        self.count, self.events = 0, []

    def read(self, n: int) -> bytes:
        out = b""
        while len(out) < n:
            more = self.s.recv(n - len(out))
            if not more:
                sys.exit("the browser is gone")
            out += more
        return out

    def message(self) -> dict:
        whole = b""
        while True:
            head, length = self.read(2)
            length &= 127
            if length == 126:
                (length,) = struct.unpack(">H", self.read(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self.read(8))
            whole += self.read(length)
            if head & 0x80:
                return json.loads(whole)

    def ask(self, method: str, **params) -> dict:
        self.count += 1
        text = json.dumps({"id": self.count, "method": method, "params": params}).encode()
        mask = os.urandom(4)
        size = struct.pack(">BQ", 0x80 | 127, len(text))
        self.s.sendall(b"\x81" + size + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(text)))
        while True:
            m = self.message()
            if m.get("id") == self.count:
                if "error" in m:
                    sys.exit(f"{method}: {m['error']}")
                return m["result"]
            self.events.append(m)

    def wait(self, method: str) -> None:
        while not any(e["method"] == method for e in self.events):
            self.events.append(self.message())


def started(profile: str) -> subprocess.Popen:
    args = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    args += ["--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--remote-allow-origins=*", "about:blank"]
    return subprocess.Popen(["chromium", *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def page_socket(profile: str) -> Socket:
    file, end = os.path.join(profile, "DevToolsActivePort"), time.monotonic() + 60
    while not os.path.exists(file) or not open(file).read().strip():
        if time.monotonic() > end:
            sys.exit("the browser does not start")
        time.sleep(0.1)
    port = open(file).read().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        tabs = json.load(answer)
    return Socket(next(t for t in tabs if t["type"] == "page")["webSocketDebuggerUrl"])


def look(s: Socket, url: str, size: tuple[int, int], scheme: str, picture: str) -> list[str]:
    s.events = []
    wrong = []
    s.ask("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False)
    s.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    s.ask("Page.navigate", url=url)
    s.wait("Page.loadEventFired")

    def value(expression: str):
        return s.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    width, height = value("document.documentElement.scrollWidth"), value("document.documentElement.scrollHeight")
    if width > size[0]:
        far = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        wrong.append(f"{width} px wide: {value(far + '.map(e => e.tagName + ' + repr('.') + ' + e.className).join()')}")
    text = value("document.body.textContent")
    for name in HOSTILE:
        if (shown := written(name)) not in text:
            wrong.append(f"not shown: {shown}")
    if (n := value("document.querySelectorAll('script,img,iframe,a,link,object,embed,form').length")) != 0:
        wrong.append(f"{n} elements that are none of ours")
    if not value("document.title").startswith("sharelock: ~/share on "):
        wrong.append(f"another title: {value('document.title')}")
    if (styled := value("getComputedStyle(document.querySelector('main')).maxWidth")) != "768px":
        wrong.append(f"the policy does not let its own style through: {styled}")
    shot = s.ask("Page.captureScreenshot", captureBeyondViewport=True, clip={"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1})
    with open(picture, "wb") as f:
        f.write(base64.b64decode(shot["data"]))
    for e in s.events:
        p = e.get("params", {})
        match e["method"]:
            case "Network.requestWillBeSent" if p["request"]["url"] != url:
                wrong.append(f"asks for {p['request']['url']}")
            case "Log.entryAdded":
                wrong.append(f"in the log: {p['entry']['level']}: {p['entry']['text']}")
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                wrong.append(f"in the console: {json.dumps(p)[:500]}")
    return wrong


def written(name: bytes) -> str:
    """A name as sharelock shows it."""
    out = ""
    for c in name.decode(errors="surrogateescape"):
        match c:
            case "\n":
                out += "\\n"
            case "\t":
                out += "\\t"
            case _ if 0xDC80 <= ord(c) <= 0xDCFF:
                out += f"\\x{ord(c) - 0xDC00:02x}"
            case _ if c < " " or c in "\u202e\u2066\u200b":
                out += f"\\u{{{ord(c):x}}}"
            case _:
                out += c
    return out


def main(page: str, out: str) -> None:
    url = "file://" + os.path.abspath(page)
    failed = False
    with tempfile.TemporaryDirectory(prefix="report-check-", ignore_cleanup_errors=True) as profile:
        browser = started(profile)
        try:
            s = page_socket(profile)
            for domain in ["Page", "Network", "Log", "Runtime"]:
                s.ask(f"{domain}.enable")
            for name, size in SIZES.items():
                for scheme in SCHEMES:
                    picture = os.path.join(out, f"{name}-{scheme}.png")
                    wrong = look(s, url, size, scheme, picture)
                    failed |= bool(wrong)
                    print(f"{name} ({size[0]} px), {scheme}: {'; '.join(wrong) or 'well'}   {os.path.relpath(picture)}")
        finally:
            browser.terminate()
            browser.wait()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
