//! Devices among people, old bots and broken networks: chats from a foreign client (slixmpp), the compatible mode, conflicts, cut and
//! silent connections, SRV records.
#![cfg(feature = "xmpp")]
#![allow(clippy::unwrap_used)]

mod support;
mod xmpp;

use jid::BareJid;
use sharelock::xmpp::{Command, Config, Event, Tls, Verb};
use std::time::Duration;
use support::free_port;
use xmpp::world::{Phone, Proxy, dns};
use xmpp::{Device, Kind, Server};

const BOTH: [Kind; 2] = [Kind::Prosody, Kind::Ejabberd];

fn is_offline(e: &Event) -> bool {
    matches!(e, Event::Offline { .. })
}

fn is_online(e: &Event) -> bool {
    matches!(e, Event::Online { .. })
}

fn address(d: &Device) -> String {
    let mine = d.heard.iter().rev().find_map(|e| if let Event::Online { me, .. } = e { Some(me.clone()) } else { None });
    mine.unwrap()
}

#[test]
fn the_owner_asks_from_a_phone_and_a_stranger_in_vain() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        for user in ["alice", "bob", "carol"] {
            server.register(user, &format!("pw-{user}"));
        }
        let config = Config { commands_from: vec![BareJid::new("carol@xmpp.test").unwrap()], ..server.config("alice", "pw-alice") };
        let mut device = Device::online(config);
        let me = address(&device);
        let Some(mut phone) = Phone::new(&server, "alice@xmpp.test/phone", "pw-alice", -5) else { continue };
        let Some(mut stranger) = Phone::new(&server, "bob@xmpp.test/x", "pw-bob", 5) else { continue };
        let Some(mut carol) = Phone::new(&server, "carol@xmpp.test/x", "pw-carol", 5) else { continue };
        // Nothing of a stranger's is obeyed or answered; nor is talk.
        for text in ["pause", "sync", "ping", "help", "pushed ssh://evil/x.git"] {
            stranger.say(&me, text);
            stranger.say("alice@xmpp.test", text);
        }
        phone.say(&me, "good morning");
        phone.say(&me, "status");
        let want = |verb, argument: &str, from: &str| Event::Command { from: from.into(), verb, argument: argument.into() };
        let first = device.until("a command", |e| matches!(e, Event::Command { .. } | Event::Pushed { .. }));
        assert_eq!(first, want(Verb::Status, "", &phone.jid), "{kind:?}");
        device.send(Command::Reply { to: phone.jid.clone(), text: "in sync: \u{1b}[1m4 files\u{0}\nand <more> & 'that'".into() });
        assert_eq!(phone.chat(), "in sync: \u{fffd}[1m4 files\u{fffd}\nand <more> & 'that'");
        // To the bare address, too: the device has the highest priority.
        phone.say("alice@xmpp.test", "pause 2h");
        let got = device.until("a command", |e| matches!(e, Event::Command { .. }));
        assert_eq!(got, want(Verb::Pause, "2h", &phone.jid), "{kind:?}");
        phone.say(&me, "ping");
        phone.until("pong", |v| v["body"] == "pong");
        phone.say(&me, "help");
        phone.until("help", |v| v["body"].as_str().is_some_and(|b| b.starts_with("you can ask this device")));
        carol.say(&me, "devices");
        let got = device.until("a command", |e| matches!(e, Event::Command { .. }));
        assert_eq!(got, want(Verb::Devices, "", &carol.jid));
        device.send(Command::Reply { to: carol.jid.clone(), text: "laptop, pi".into() });
        assert_eq!(carol.chat(), "laptop, pi");
        let heard = stranger.all();
        assert!(!heard.contains("\"chat\""), "{kind:?}: {heard}");
        device.stop();
    }
}

#[test]
fn people_are_told() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        server.register("bob", "pw-bob");
        let config = Config { alsonotify: vec![BareJid::new("bob@xmpp.test").unwrap()], ..server.config("alice", "pw-alice") };
        let device = Device::online(config);
        let Some(mut bob) = Phone::new(&server, "bob@xmpp.test/phone", "pw-bob", 0) else { continue };
        device.send(Command::Tell("laptop: 3 files changed".into()));
        assert_eq!(bob.chat(), "laptop: 3 files changed", "{kind:?}");
    }
}

#[test]
fn old_bots_hear_and_are_heard() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        let mut device = Device::online(Config { compat: true, ..server.config("alice", "pw-alice") });
        let me = address(&device);
        assert!(me.starts_with("alice@xmpp.test/AutosyncJabberBot on "), "{me}");
        let Some(mut bot) = Phone::bot(&server, "alice@xmpp.test/AutosyncJabberBot on old", "pw-alice") else { continue };
        // What a bot says goes to the bare address of the account.
        bot.say("alice@xmpp.test", "login AutosyncJabberBot on old");
        bot.say("alice@xmpp.test", "pushed ssh://sync.example.org/home/me/autosync.git\n");
        let got = device.until("a push", |e| matches!(e, Event::Pushed { .. }));
        assert_eq!(got, Event::Pushed { url: "ssh://sync.example.org/home/me/autosync.git".into() }, "{kind:?}");
        bot.say(&me, "ping");
        bot.until("pong", |v| v["body"] == "pong");
        device.send(Command::Pushed { urls: vec!["ssh://sync.example.org/home/me/autosync.git".into()] });
        bot.until("a push", |v| v["body"] == "pushed ssh://sync.example.org/home/me/autosync.git");
        // No loop: after this nobody says anything more.
        bot.say(&me, "Unknown command: \"x\"");
        while device.within(Duration::from_millis(1000)).is_some() {}
        let heard = bot.all();
        assert!(!heard.contains("nknown"), "{heard}");
        // Notices go on beside it, to devices in the mode and without it.
        let mut other = Device::online(server.config("alice", "pw-alice"));
        device.send(Command::Publish(vec![4; 128]));
        assert_eq!(other.notice(), vec![4; 128]);
    }
}

#[test]
fn whose_place_is_taken_comes_back_under_another_name() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        let mut device = Device::online(server.config("alice", "pw-alice"));
        let before = address(&device);
        let Some(phone) = Phone::new(&server, &before, "pw-alice", 0) else { continue };
        assert_eq!(phone.jid, before, "{kind:?}");
        device.until("an end", is_offline);
        device.until("a new login", is_online);
        assert_ne!(address(&device), before);
    }
}

#[test]
fn cut_connections_come_back() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        let proxy = Proxy::new(server.start);
        let mut a = Device::online(Config { port: Some(proxy.port), ..server.config("alice", "pw-alice") });
        let b = Device::online(server.config("alice", "pw-alice"));
        let before = address(&a);
        proxy.cut();
        a.until("an end", is_offline);
        b.send(Command::Publish(vec![1; 128]));
        a.until("a new login", is_online);
        // The same resource: the new login takes the place of the dead one.
        assert_eq!(address(&a), before, "{kind:?}");
        assert_eq!(a.notice(), vec![1; 128], "what was missed is told");
    }
}

#[test]
fn a_silent_connection_is_noticed_and_its_notice_is_sent_again() {
    let Some(server) = Server::new(Kind::Prosody) else { return };
    server.register("alice", "pw-alice");
    let proxy = Proxy::new(server.start);
    let mut a = Device::online(Config { port: Some(proxy.port), ..server.config("alice", "pw-alice") });
    let mut b = Device::online(server.config("alice", "pw-alice"));
    while a.within(Duration::from_millis(500)).is_some() {}
    // The proxy takes the bytes; only the missing answer tells. New connections work.
    proxy.silence(|| a.send(Command::Publish(vec![1; 128])));
    a.until("an end", is_offline);
    a.until("a new login", is_online);
    assert_eq!(b.notice(), vec![1; 128]);
    // Without anything to say, the agent's hint has the link looked at.
    while a.within(Duration::from_millis(500)).is_some() {}
    proxy.silence(|| a.send(Command::Retry));
    a.until("an end", is_offline);
    a.until("a new login", is_online);
}

#[test]
fn the_server_is_found_by_srv() {
    let Some(server) = Server::new(Kind::Prosody) else { return };
    server.register("alice", "pw-alice");
    let config =
        |start, direct| Config { host: None, port: None, nameservers: vec![dns(start, direct)], ..server.config("alice", "pw-alice") };
    let dead = free_port();
    // STARTTLS alone; direct TLS alone; both, the better one dead; a dead name server before.
    Device::online(config(vec![(5, 0, server.start, "localhost")], vec![])).stop();
    Device::online(config(vec![], vec![(5, 0, server.direct, "localhost")])).stop();
    Device::online(config(vec![(9, 0, server.start, "localhost")], vec![(1, 0, dead, "localhost")])).stop();
    Device::online(config(vec![(0, 0, 0, ".")], vec![(5, 0, server.direct, "localhost")])).stop();
    let mut late = config(vec![(5, 0, server.start, "localhost")], vec![]);
    late.nameservers.insert(0, format!("127.0.0.1:{dead}").parse().unwrap());
    Device::online(late).stop();
    // Only one way is wanted, and only there is a server.
    let wanted = config(vec![(1, 0, dead, "localhost")], vec![(5, 0, server.direct, "localhost")]);
    Device::online(Config { tls: Some(Tls::Direct), ..wanted }).stop();
    let (why, _) = Device::refused(config(vec![(0, 0, 0, ".")], vec![(0, 0, 0, ".")]));
    assert!(why.contains("xmpp.test says that it has no XMPP server"), "{why}");
    // Without records the domain itself is tried.
    let mut d = Device::new(config(vec![], vec![]));
    let Event::Offline { why } = d.until("an end", is_offline) else { unreachable!() };
    assert!(why.contains("xmpp.test:5222 is not reachable"), "{why}");
}
