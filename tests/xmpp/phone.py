"""A foreign XMPP client by slixmpp: somebody's phone, a stranger, or a scripted bot of dvcs-autosync.

    phone.py JID PASSWORD HOST PORT CA-FILE [PRIORITY]

Lines of JSON: {"to": .., "body": ..} in, {"online": JID}, {"from": .., "type": .., "body": ..} and {"presence": ..} out.
With "BOT" in the environment it answers as jabberbot.py of dvcs-autosync does: `pong` to `ping`, and `Unknown command` to what it does not know.
"""
import asyncio
import json
import os
import sys

import slixmpp


class Phone(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca, priority):
        super().__init__(jid, password)
        self.ca_certs = ca
        self.rest = b""
        self.enable_direct_tls = False
        self.priority = priority
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.heard)
        self.add_event_handler("presence_available", lambda p: self.out(presence=str(p["from"])))

    def out(self, **what):
        print(json.dumps(what), flush=True)

    def started(self, _):
        self.send_presence(ppriority=self.priority)
        self.out(online=str(self.boundjid))
        asyncio.get_event_loop().add_reader(sys.stdin.fileno(), self.line)

    def line(self):
        got = os.read(sys.stdin.fileno(), 65536)
        if not got:
            os._exit(0)
        *lines, self.rest = (self.rest + got).split(b"\n")
        for what in map(json.loads, lines):
            self.send_message(mto=what["to"], mbody=what["body"], mtype="chat")

    def heard(self, m):
        if m["from"] == self.boundjid:
            return
        self.out(**{"from": str(m["from"]), "type": m["type"], "body": m["body"]})
        if os.environ.get("BOT") and m["type"] == "chat" and m["body"]:
            word = m["body"].split()[0].lower()
            if word == "ping":
                m.reply("pong").send()
            elif word not in ("pushed", "login", "unknown", "whoami"):
                m.reply('Unknown command: "%s". Type "help" for available commands.' % word).send()


async def main():
    jid, password, host, port, ca = sys.argv[1:6]
    phone = Phone(jid, password, ca, int(sys.argv[6]) if len(sys.argv) > 6 else 0)
    phone.connect(host, int(port))
    await asyncio.Event().wait()


asyncio.run(main())
