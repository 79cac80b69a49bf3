//! Scripted servers, most of them hostile.

use super::*;

const HEAD: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='d' version='1.0'>";
const STARTTLS_OFFER: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const SCRAM_OFFER: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>";
const BIND_OFFER: &str = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
const BOUND: &str = "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>user@d/r</jid></bind></iq>";
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

fn stream(tls: Tls) -> Stream {
    let login = Login {
        jid: BareJid::new("user@d").unwrap(),
        password: "pencil".to_string().into(),
        resource: "r".into(),
        plain: false,
        nonce: NONCE.into(),
    };
    Stream::new(login, tls)
}

fn said(s: &mut Stream) -> String {
    String::from_utf8(s.output().to_vec()).unwrap()
}

fn sasl(name: &str, text: &str) -> String {
    format!("<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</{name}>", BASE64.encode(text.as_bytes()))
}

/// A stream that has been made private, and the server has offered SCRAM.
fn offered() -> Stream {
    let mut s = stream(Tls::Direct);
    s.secured(None);
    said(&mut s);
    s.feed(format!("{HEAD}{SCRAM_OFFER}").as_bytes()).unwrap();
    s
}

fn challenge() -> String {
    sasl("challenge", &format!("r={NONCE}3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"))
}

/// A stream that is bound.
fn bound() -> Stream {
    let mut s = offered();
    s.feed(challenge().as_bytes()).unwrap();
    s.feed(sasl("success", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").as_bytes()).unwrap();
    s.feed(format!("{HEAD}{BIND_OFFER}").as_bytes()).unwrap();
    let happened = s.feed(BOUND.as_bytes()).unwrap();
    assert!(matches!(&happened[..], [Happening::Bound(j)] if j.as_str() == "user@d/r"));
    s
}

#[track_caller]
fn refused(r: Result<Vec<Happening>>, word: &str) {
    match r {
        Err(Trouble::Refused { why, .. }) => assert!(why.contains(word), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn broken(r: Result<Vec<Happening>>) {
    assert!(matches!(r, Err(Trouble::Broken(_))), "{r:?}");
}

#[test]
fn a_whole_login_byte_by_byte() {
    let mut s = stream(Tls::Start);
    let opening = said(&mut s);
    assert!(opening.contains("to='d'") && !opening.contains("user"), "nobody who listens learns the account: {opening}");
    let mut happened = Vec::new();
    let mut play = |s: &mut Stream, text: &str| {
        for b in text.as_bytes() {
            happened.extend(s.feed(&[*b]).unwrap());
        }
        said(s)
    };
    assert!(play(&mut s, &format!("{HEAD}{STARTTLS_OFFER}")).contains("starttls"));
    assert_eq!(play(&mut s, PROCEED), "");
    s.secured(Some([7; 32]));
    assert!(said(&mut s).contains("<stream:stream"));
    // With TLS 1.3, and no PLUS offered: `y`.
    let auth = play(&mut s, &format!("{HEAD}{SCRAM_OFFER}"));
    assert!(auth.contains("SCRAM-SHA-1") && auth.contains(&BASE64.encode(format!("y,,n=user,r={NONCE}").as_bytes())), "{auth}");
    let mut s = offered();
    let auth = said(&mut s);
    assert!(auth.contains(&BASE64.encode(format!("n,,n=user,r={NONCE}").as_bytes())), "{auth}");
    let answer = play(&mut s, &challenge());
    let proof = BASE64.encode(b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
    assert!(answer.contains(&proof), "{answer}");
    assert!(play(&mut s, &sasl("success", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")).starts_with("<?xml"));
    assert!(play(&mut s, &format!("{HEAD}{BIND_OFFER}")).contains("<resource>r</resource>"));
    assert!(play(&mut s, BOUND).contains("enable"));
    assert!(matches!(&happened[..], [Happening::StartTls, Happening::Bound(_)]));
}

#[test]
fn without_tls_nothing_is_said() {
    let mut s = stream(Tls::Start);
    said(&mut s);
    refused(s.feed(format!("{HEAD}{SCRAM_OFFER}").as_bytes()), "no TLS");
    assert_eq!(said(&mut s), "");
}

#[test]
fn bytes_behind_proceed_are_an_attack() {
    for behind in [" ", "\n", HEAD, "<x"] {
        let mut s = stream(Tls::Start);
        s.feed(format!("{HEAD}{STARTTLS_OFFER}").as_bytes()).unwrap();
        refused(s.feed(format!("{PROCEED}{behind}").as_bytes()), "<proceed/>");
    }
}

#[test]
fn what_was_said_in_the_clear_is_forgotten() {
    // A mechanism that somebody put into the clear features counts for nothing.
    let mut s = stream(Tls::Start);
    let offer = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";
    s.feed(format!("{HEAD}{offer}{PROCEED}").as_bytes()).unwrap();
    said(&mut s);
    s.secured(None);
    s.feed(format!("{HEAD}{SCRAM_OFFER}").as_bytes()).unwrap();
    assert!(said(&mut s).contains("SCRAM-SHA-1"));
}

#[test]
fn scram_is_held_to_its_rules() {
    let with = |text: &str| {
        let mut s = offered();
        said(&mut s);
        let r = s.feed(sasl("challenge", text).as_bytes());
        assert_eq!(said(&mut s), "", "no proof was given");
        r
    };
    refused(with("r=another,s=QSXCR+Q6sek8bf92,i=4096"), "does not extend ours");
    refused(with(&format!("r={NONCE}x,s=QSXCR+Q6sek8bf92,i=2147483648")), "too high");
    refused(with(&format!("r={NONCE}x,s=QSXCR+Q6sek8bf92,i=1")), "too low");
    broken(offered().feed(b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>!!</challenge>"));
    // A success at once, without a proof, or with a wrong one.
    refused(offered().feed(sasl("success", "").as_bytes()), "without a proof");
    for proof in ["", "v=AAAA", "e=x"] {
        let mut s = offered();
        s.feed(challenge().as_bytes()).unwrap();
        refused(s.feed(sasl("success", proof).as_bytes()), "proof");
    }
    let mut s = offered();
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text>no</text></failure>";
    refused(s.feed(failure.as_bytes()), "does not take the password of user@d");
}

#[test]
fn plain_needs_permission() {
    let plain =
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";
    let mut s = stream(Tls::Direct);
    s.secured(None);
    said(&mut s);
    refused(s.feed(format!("{HEAD}{plain}").as_bytes()), "PLAIN");
    assert_eq!(said(&mut s), "");
}

#[test]
fn nothing_comes_before_its_time() {
    for early in [BOUND, "<message from='user@d'><body>stop</body></message>", &challenge(), PROCEED, &sasl("success", ""), BIND_OFFER] {
        let mut s = stream(Tls::Start);
        said(&mut s);
        let r = s.feed(format!("{HEAD}{early}").as_bytes());
        assert!(r.is_err(), "{early}");
        assert_eq!(said(&mut s), "", "{early}");
    }
    broken(offered().feed(BOUND.as_bytes()));
    broken(offered().feed(b"<message><body>x</body></message>"));
    let mut s = offered();
    s.feed(challenge().as_bytes()).unwrap();
    broken(s.feed(SCRAM_OFFER.as_bytes()));
}

#[test]
fn endless_and_malformed_streams_end() {
    let mut s = stream(Tls::Start);
    let endless = std::iter::once("<stream:stream ".to_string()).chain((0..).map(|n| format!("a{n}='{}' ", "x".repeat(1000))));
    let ended = endless.take(200).any(|piece| s.feed(piece.as_bytes()).is_err());
    assert!(ended);
    broken(stream(Tls::Start).feed(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>"));
    broken(stream(Tls::Start).feed(b"<html>"));
    broken(bound().feed(format!("<message><body>{}</body></message>", "x".repeat(70_000)).as_bytes()));
    broken(bound().feed("<a>".repeat(20).as_bytes()));
    let long = bound().feed(format!("<{0} xmlns='http://etherx.jabber.org/streams'/>", "x".repeat(5000)).as_bytes());
    assert!(matches!(long, Ok(h) if h.is_empty()));
    let long = offered().feed(format!("<{}/>", "x".repeat(5000)).as_bytes());
    assert!(matches!(long, Err(Trouble::Broken(why)) if why.len() < 200), "what a server says is cut for the log");
    broken(bound().feed(b"<!DOCTYPE x [<!ENTITY a 'b'>]>"));
    broken(bound().feed(HEAD.as_bytes()));
    refused(
        stream(Tls::Start).feed(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"),
        "before 2004",
    );
}

#[test]
fn stream_errors_are_told_apart() {
    let error = |c: &str| format!("<stream:error><{c} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
    assert_eq!(bound().feed(error("conflict").as_bytes()).unwrap_err(), Trouble::Conflict);
    broken(bound().feed(error("system-shutdown").as_bytes()));
    refused(stream(Tls::Start).feed(format!("{HEAD}{}", error("host-unknown")).as_bytes()), "domain");
    assert!(matches!(bound().feed(b"</stream:stream>").unwrap()[..], [Happening::Closed]));
    let conflict = "<iq type='error' id='bind'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
    let mut s = offered();
    s.feed(challenge().as_bytes()).unwrap();
    s.feed(sasl("success", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").as_bytes()).unwrap();
    s.feed(format!("{HEAD}{BIND_OFFER}").as_bytes()).unwrap();
    assert_eq!(s.feed(conflict.as_bytes()).unwrap_err(), Trouble::Conflict);
}

#[test]
fn acks_count_stanzas() {
    let mut s = bound();
    said(&mut s);
    assert!(!s.request_ack(), "not enabled yet");
    s.feed(b"<message/><enabled xmlns='urn:xmpp:sm:3'/><message/><iq/>").unwrap();
    s.feed(b" <r xmlns='urn:xmpp:sm:3'/>").unwrap();
    assert_eq!(said(&mut s), "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    assert!(s.request_ack());
    assert!(said(&mut s).starts_with("<r "));
    assert!(s.feed(b"<a xmlns='urn:xmpp:sm:3' h='0'/>").unwrap().is_empty());
}
