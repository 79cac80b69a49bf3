//! Devices against real Prosody and real ejabberd on loopback. A server that is not installed is said and passed over.
#![cfg(feature = "xmpp")]
#![allow(clippy::unwrap_used)]

mod xmpp;

use sharelock::xmpp::{Command, Event, Tls, Trust};
use std::time::Duration;
use xmpp::{Device, Kind, Oddities, Server};

const BOTH: [Kind; 2] = [Kind::Prosody, Kind::Ejabberd];

#[test]
fn login_and_notices() {
    for kind in BOTH {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        let config = || server.config("alice", "pw-alice");
        let mut a = Device::online(config());
        let mut b = Device::online(xmpp_direct(&server, config()));
        // A personal account's priority: notices come all the same.
        let mut c = Device::online(sharelock::xmpp::Config { priority: -1, ..config() });
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
            let mut notices: Vec<_> = d.heard.iter().filter_map(|e| if let Event::Notice(n) = e { Some(n[0]) } else { None }).collect();
            let all = notices.len();
            notices.dedup();
            assert_eq!(notices.len(), all, "{kind:?} {:?}", d.heard);
        }
        assert!(!a.heard.contains(&Event::Notice(vec![0; 128])));
        for d in [a, b, c, late] {
            d.stop();
        }
    }
}

fn xmpp_direct(server: &Server, config: sharelock::xmpp::Config) -> sharelock::xmpp::Config {
    sharelock::xmpp::Config { tls: Some(Tls::Direct), port: Some(server.direct), ..config }
}
