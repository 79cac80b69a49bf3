//! What an XMPP server sends: a stream from its header on, and behind the login what others send through it.

use super::forge::take;
use sharelock::xmpp::session::Session;
use sharelock::xmpp::stream::{Happening, Login, Stream};
use sharelock::xmpp::xml::{Item, Parser};
use sharelock::xmpp::{Config, Tls};

/// A server's part of a login, for what comes after it.
const LOGIN: &[u8] = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\
<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>\
<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\
<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\
<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>\
<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>me@example.org/laptop</jid></bind></iq>";

fn config() -> Config {
    let friend = || vec!["friend@example.net".parse().expect("an address")];
    Config {
        password: "password".to_string().into(),
        people: friend(),
        alsonotify: friend(),
        commands_from: friend(),
        compat: true,
        plain: true,
        node: "node".into(),
        ..Config::new("me@example.org".parse().expect("an address"))
    }
}

/// The items of a stream that comes in pieces of this size.
fn items(data: &[u8], size: usize) -> Vec<Item> {
    let (mut parser, mut out) = (Parser::new(), Vec::new());
    for mut piece in data.chunks(size) {
        loop {
            match parser.next(&mut piece) {
                Ok(Some(item)) => out.push(item),
                Ok(None) => break,
                Err(_) => return out,
            }
        }
    }
    out
}

/// A stream, and the session on it; true once a resource was bound. In pieces or at once, it has the same items.
pub fn xml(mut data: &[u8]) -> bool {
    let mode = take::<1>(&mut data)[0];
    let size = usize::from(mode >> 3) * 8 + 1;
    assert_eq!(format!("{:?}", items(data, size)), format!("{:?}", items(data, data.len().max(1))));
    let config = config();
    let login = Login {
        jid: config.jid.clone(),
        password: config.password.clone(),
        resource: "laptop".into(),
        plain: mode & 4 == 0,
        nonce: "nonce".into(),
    };
    let (tls, begin): (Tls, &[u8]) = match mode & 3 {
        0 | 1 => (Tls::Direct, LOGIN),
        2 => (Tls::Direct, b""),
        _ => (Tls::Start, b""),
    };
    let (mut stream, mut session, mut bound) = (Stream::new(login, tls), Session::new(config), false);
    if tls == Tls::Direct {
        stream.secured(None);
    }
    for piece in std::iter::once(begin).chain(data.chunks(size)) {
        let Ok(happenings) = stream.feed(piece) else { return bound };
        for h in happenings {
            let out = match h {
                Happening::StartTls => {
                    stream.secured(Some([7; 32]));
                    continue;
                }
                Happening::Bound(me) => {
                    bound = true;
                    session.begin(me, sharelock::xmpp::Tls::Start)
                }
                Happening::Stanza(e) => session.stanza(&e),
                Happening::Closed => {
                    session.end();
                    return bound;
                }
            };
            out.stanzas.iter().for_each(|e| stream.send(e));
            let _ = stream.output();
        }
    }
    bound
}
