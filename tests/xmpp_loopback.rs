//! Devices against real Prosody and real ejabberd on loopback: logging in, and notices. A server that is not installed is
//! said and passed over.
#![cfg(feature = "xmpp")]
#![allow(clippy::unwrap_used)]

mod support;
mod xmpp;

use sharelock::xmpp::{Command, Config, Event, Tls, Trust};
use std::time::Duration;
use xmpp::{Device, Kind, Oddities, Server};

const BOTH: [Kind; 2] = [Kind::Prosody, Kind::Ejabberd];

fn direct(server: &Server, config: Config) -> Config {
    Config { tls: Some(Tls::Direct), port: Some(server.direct), ..config }
}

fn is_offline(e: &Event) -> bool {
    matches!(e, Event::Offline { .. })
}

fn is_online(e: &Event) -> bool {
    matches!(e, Event::Online { .. })
}

#[test]
fn login_and_notices() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        let config = || server.config("alice", "pw-alice");
        let mut a = Device::online(config());
        let mut b = Device::online(direct(&server, config()));
        // A personal account's priority: notices come all the same.
        let mut c = Device::online(Config { priority: -1, ..config() });
        for n in 0..3u8 {
            a.send(Command::Publish(vec![n; 128]));
            assert_eq!(b.notice(), vec![n; 128], "{kind:?}");
            assert_eq!(c.notice(), vec![n; 128], "{kind:?}");
        }
        b.send(Command::Publish(vec![9; 128]));
        assert_eq!((a.notice(), c.notice()), (vec![9; 128], vec![9; 128]));
        // Whoever comes late is told the last one.
        let mut late = Device::online(config());
        assert_eq!(late.notice(), vec![9; 128]);
        // Nobody heard anything twice, nor what they had said themselves.
        for d in [&mut a, &mut b, &mut c, &mut late] {
            while d.within(Duration::from_millis(300)).is_some() {}
            let notices: Vec<_> = d.heard.iter().filter_map(|e| if let Event::Notice(n) = e { Some(n[0]) } else { None }).collect();
            let mut once = notices.clone();
            once.dedup();
            assert_eq!(notices, once, "{kind:?}");
        }
        assert!(!a.heard.contains(&Event::Notice(vec![0; 128])));
        let mechanism = if kind == Kind::Prosody { "SCRAM-SHA-1" } else { "SCRAM-SHA-256" };
        assert!(server.log_has(mechanism), "{kind:?}");
        assert!(a.heard.iter().any(|e| matches!(e, Event::Devices(d) if d.len() == 3)), "{:?}", a.heard);
        for d in [a, b, c, late] {
            d.stop();
        }
    }
}

#[test]
fn a_node_belongs_to_the_account_alone() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        server.register("bob", "pw-bob");
        let mut a = Device::online(server.config("alice", "pw-alice"));
        let mut other_vault = Device::online(Config { node: "urn:sharelock:node:0ther".into(), ..server.config("alice", "pw-alice") });
        let mut bob = Device::online(server.config("bob", "pw-bob"));
        let mut b = Device::online(server.config("alice", "pw-alice"));
        a.send(Command::Publish(vec![1; 128]));
        assert_eq!(b.notice(), vec![1; 128]);
        for stranger in [&mut other_vault, &mut bob] {
            while stranger.within(Duration::from_millis(500)).is_some() {}
            assert!(!stranger.heard.iter().any(|e| matches!(e, Event::Notice(_))), "{kind:?}");
        }
        while a.within(Duration::from_millis(10)).is_some() {}
    }
}

#[test]
fn wrong_and_accented_passwords() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        // Composed and full-width there, decomposed and plain here: SASLprep makes them one.
        server.register("ren\u{e9}", "p\u{e1}ssw\u{f6}rd");
        let (why, remedy) = Device::refused(server.config("alice", "pw-alicf"));
        assert_eq!(why, "the XMPP server does not take the password of alice@xmpp.test", "{kind:?}");
        assert!(remedy.contains("password_command"));
        let (why, _) = Device::refused(server.config("nobody", "x"));
        assert!(why.contains("nobody@xmpp.test"), "{why}");
        Device::online(server.config("rene\u{301}", "pa\u{301}ss\u{ff57}o\u{308}rd")).stop();
    }
}

#[test]
fn certificates() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        let config = || server.config("alice", "pw-alice");
        let pin = server.pin("leaf.crt");
        let written = format!("pin = \"sha256/{}\"", data_encoding::BASE64.encode(&pin));
        for tls in [config(), direct(&server, config())] {
            let (why, remedy) = Device::refused(Config { trust: Trust::System, ..tls.clone() });
            assert!(why.contains("signed by nobody that this device knows") && why.contains("nothing was sent"), "{why}");
            assert!(remedy.contains(&written), "{remedy}");
            // Another authority.
            let (why, _) = Device::refused(Config { trust: Trust::Roots(server.file("own.crt")), ..tls.clone() });
            assert!(why.contains("certificate"), "{why}");
            Device::online(Config { trust: Trust::Pin(pin), ..tls.clone() }).stop();
            let (why, remedy) = Device::refused(Config { trust: Trust::Pin([7; 32]), ..tls });
            assert!(why.contains("another key") && remedy.contains(&written), "{why} {remedy}");
        }
        // The right authority, but another domain than the certificate's: either side may be the first to say so.
        let other = Config { jid: jid::BareJid::new("alice@other.test").unwrap(), ..direct(&server, config()) };
        let (why, _) = Device::refused(other);
        assert!(why.contains("does not name other.test") || why.contains("does not know other.test"), "{why}");
    }
}

#[test]
fn a_server_that_signs_for_itself_needs_a_pin() {
    let Some(server) = Server::odd(Kind::Prosody, Oddities { self_signed: true, ..Oddities::default() }) else { return };
    server.register("alice", "pw-alice");
    let config = || server.config("alice", "pw-alice");
    Device::refused(config());
    Device::refused(Config { trust: Trust::System, ..config() });
    Device::online(Config { trust: Trust::Pin(server.pin("own.crt")), ..config() }).stop();
}

#[test]
fn without_tls_nobody_logs_in() {
    let Some(server) = Server::odd(Kind::Prosody, Oddities { no_tls: true, ..Oddities::default() }) else { return };
    server.register("alice", "pw-alice");
    let (why, _) = Device::refused(server.config("alice", "pw-alice"));
    assert!(why.contains("no TLS") && why.contains("nothing was sent"), "{why}");
    assert!(!server.log_has("<auth"));
}

#[test]
fn without_pep_the_devices_are_told_all_the_same() {
    let Some(server) = Server::odd(Kind::Prosody, Oddities { no_pep: true, ..Oddities::default() }) else { return };
    server.register("alice", "pw-alice");
    let mut a = Device::online(server.config("alice", "pw-alice"));
    let mut b = Device::online(server.config("alice", "pw-alice"));
    let mut c = Device::online(Config { priority: -1, ..server.config("alice", "pw-alice") });
    a.until("two devices", |e| matches!(e, Event::Devices(d) if d.len() == 2));
    for n in 0..3u8 {
        a.send(Command::Publish(vec![n; 128]));
        assert_eq!((b.notice(), c.notice()), (vec![n; 128], vec![n; 128]));
    }
    c.stop();
    a.until("one device", |e| matches!(e, Event::Devices(d) if d.len() == 1));
}

#[test]
fn a_restarted_server_and_devices_that_were_offline() {
    for kind in BOTH {
        let Some(mut server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        let mut a = Device::online(server.config("alice", "pw-alice"));
        let mut b = Device::online(server.config("alice", "pw-alice"));
        a.send(Command::Publish(vec![1; 128]));
        assert_eq!(b.notice(), vec![1; 128]);
        b.stop();
        server.halt(true);
        a.until("an end", is_offline);
        // Said while nobody listens: only the newest counts.
        a.send(Command::Publish(vec![2; 128]));
        a.send(Command::Publish(vec![3; 128]));
        let mut b = Device::new(server.config("alice", "pw-alice"));
        b.until("nothing there", is_offline);
        server.run();
        // By itself; a hint from the agent only makes it sooner.
        a.until("a new login", is_online);
        b.send(Command::Retry);
        b.until("a login", is_online);
        while b.notice() != vec![3; 128] {}
        assert!(!b.heard.contains(&Event::Notice(vec![2; 128])), "{kind:?}");
        // The last item is there after a restart, too.
        for d in [a, b] {
            d.stop();
        }
        server.halt(true);
        server.run();
        assert_eq!(Device::online(server.config("alice", "pw-alice")).notice(), vec![3; 128], "{kind:?}");
    }
}

#[test]
fn two_people_share_a_vault() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        server.register("bob", "pw-bob");
        let person = |user: &str, other: &str| Config {
            people: vec![jid::BareJid::new(&format!("{other}@xmpp.test")).unwrap()],
            ..server.config(user, &format!("pw-{user}"))
        };
        let mut alice = Device::online(person("alice", "bob"));
        let mut bob = Device::online(person("bob", "alice"));
        // Neither has a node yet. With the first notice bob is let in, told so, and hears what is there.
        alice.send(Command::Publish(vec![1; 128]));
        assert_eq!(bob.notice(), vec![1; 128], "{kind:?}");
        // His other device is told, too, although chats do not reach it.
        let mut other = Device::online(Config { priority: -1, ..person("bob", "alice") });
        assert_eq!(other.notice(), vec![1; 128], "{kind:?}");
        alice.send(Command::Publish(vec![2; 128]));
        assert_eq!((bob.notice(), other.notice()), (vec![2; 128], vec![2; 128]), "{kind:?}");
        bob.send(Command::Publish(vec![3; 128]));
        assert_eq!(alice.notice(), vec![3; 128], "{kind:?}");
        bob.send(Command::Publish(vec![4; 128]));
        assert_eq!((alice.notice(), other.notice()), (vec![4; 128], vec![3; 128]), "{kind:?}");
    }
}
