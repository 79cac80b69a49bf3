#![no_main]
//! What an XMPP server may send: before TLS, after it, and once the stream is up. The first byte cuts the rest into pieces.
use libfuzzer_sys::fuzz_target;
use sharelock::xmpp::stream::{Happening, Login, Stream};
use sharelock::xmpp::xml::{Item, Parser};
use sharelock::xmpp::{Config, Tls, Trust, session::Session};

fn config() -> Config {
    Config {
        jid: jid::BareJid::new("me@d").expect("an address"),
        password: "p".to_string().into(),
        host: None,
        port: None,
        tls: None,
        trust: Trust::System,
        nameservers: vec![],
            people: vec![],
        alsonotify: vec![],
        commands_from: vec![],
        priority: 0,
        compat: true,
        plain: true,
        node: "n".into(),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, rest)) = data.split_first() else { return };
    let size = usize::from(*cut).max(1);
    // In pieces or at once: the same items.
    let parse = |size: usize| {
        let (mut p, mut out) = (Parser::new(), Vec::new());
        for mut piece in rest.chunks(size) {
            loop {
                match p.next(&mut piece) {
                    Ok(Some(item)) => out.push(item),
                    Ok(None) => break,
                    Err(_) => return out,
                }
            }
        }
        out
    };
    let (pieces, whole) = (parse(size), parse(rest.len().max(1)));
    assert_eq!(format!("{pieces:?}"), format!("{whole:?}"));
    let mut session = Session::new(config());
    session.begin(jid::FullJid::new("me@d/r").expect("an address"));
    for item in pieces {
        if let Item::Stanza(e) = item {
            for e in session.stanza(&e).stanzas {
                let _ = sharelock::xmpp::stanza::bytes(&e);
            }
        }
    }
    for tls in [Tls::Start, Tls::Direct] {
        let login = Login {
            jid: config().jid,
            password: config().password,
            resource: "r".into(),
            plain: true,
            nonce: "n".into(),
        };
        let mut s = Stream::new(login, tls);
        if tls == Tls::Direct {
            s.secured(None);
        }
        for piece in rest.chunks(size) {
            match s.feed(piece) {
                Err(_) => break,
                Ok(h) if matches!(h[..], [Happening::StartTls]) => s.secured(None),
                Ok(_) => {}
            }
            let _ = s.output();
        }
    }
});
