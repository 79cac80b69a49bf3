//! A scripted server behind real TLS: what a stream's unit tests cannot see, that is memory, time, and PLAIN by permission.
#![cfg(feature = "xmpp")]
#![allow(clippy::unwrap_used)]

mod support;
mod xmpp;

use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sharelock::xmpp::{Command, Config, Event, Tls};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use support::wait_for;
use xmpp::Device;

const HEAD: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

struct Line(StreamOwned<ServerConnection, TcpStream>);

impl Line {
    fn say(&mut self, text: &str) -> bool {
        self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush()).is_ok()
    }

    /// Reads until `word` has come.
    fn until(&mut self, word: &str) -> String {
        let (mut got, mut buffer) = (String::new(), [0; 4096]);
        while !got.contains(word) {
            let n = self.0.read(&mut buffer).unwrap();
            assert!(n > 0, "{got}");
            got += std::str::from_utf8(&buffer[..n]).unwrap();
        }
        got
    }

    /// A whole login with PLAIN.
    fn log_in(&mut self) {
        self.until("<stream:stream");
        let offer = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>";
        self.say(&format!("{HEAD}<stream:features>{offer}</stream:features>"));
        assert!(self.until("</auth>").contains(&BASE64.encode(b"\0alice\0pw-alice")));
        self.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        self.until("<stream:stream");
        self.say(&format!("{HEAD}<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"));
        self.until("</iq>");
        self.say("<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@xmpp.test/r</jid></bind></iq>");
    }
}

/// Serves one connection by a script, by direct TLS; its port.
fn serve<T: Send + 'static>(dir: &Path, script: impl FnOnce(Line) -> T + Send + 'static) -> (u16, JoinHandle<T>) {
    let read = |name: &str| std::fs::read(dir.join("certs").join(name)).unwrap();
    let chain = CertificateDer::pem_slice_iter(&read("server.crt")).map(|c| c.unwrap()).collect();
    let key = PrivateKeyDer::from_pem_slice(&read("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        script(Line(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), tcp)))
    });
    (port, thread)
}

fn config(dir: &Path, port: u16) -> Config {
    let authority = std::fs::read(dir.join("certs/ca.crt")).unwrap();
    Config { tls: Some(Tls::Direct), plain: true, node: "n".into(), ..xmpp::config("alice", "pw-alice", port, authority) }
}

fn place() -> Option<tempfile::TempDir> {
    let dir = xmpp::there_is("openssl").then(|| tempfile::tempdir().unwrap())?;
    xmpp::certificates(dir.path());
    Some(dir)
}

#[test]
fn a_flood_of_notices_does_not_fill_the_memory() {
    const NOTICES: u32 = 20_000;
    let Some(dir) = place() else { return };
    let (port, server) = serve(dir.path(), |mut line| {
        line.log_in();
        let mut sent = 0;
        for n in 0..NOTICES {
            let event = format!(
                "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item id='current'><notice xmlns='urn:sharelock:notice:1'>{}</notice></item></items></event>",
                BASE64.encode(&n.to_be_bytes().repeat(32))
            );
            sent += u32::from(line.say(&format!("<message from='alice@xmpp.test'>{event}</message>")));
        }
        // All of it was read.
        line.say("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq>");
        line.until("'last'");
        sent
    });
    let device = Device::new(config(dir.path(), port));
    // The agent is busy and hears nothing for a while.
    wait_for("the end of the flood", || {
        assert!(device.waiting() <= 300, "{}", device.waiting());
        server.is_finished()
    });
    assert_eq!(server.join().unwrap(), NOTICES, "all were sent");
    assert!(device.waiting() >= 200);
    device.stop();
}

#[test]
fn a_connection_that_is_taken_and_not_served_does_not_keep_the_task() {
    let Some(dir) = place() else { return };
    let (came, comes) = std::sync::mpsc::channel();
    let (port, server) = serve(dir.path(), move |mut line| {
        line.until("<stream:stream");
        came.send(()).unwrap();
        // And nothing more, until the other side goes.
        let mut rest = Vec::new();
        let _ = line.0.read_to_end(&mut rest);
    });
    let device = Device::new(config(dir.path(), port));
    comes.recv_timeout(xmpp::LONG).unwrap();
    // A stop is heard at once all the same.
    device.stop();
    server.join().unwrap();
}

#[test]
fn plain_is_said_with_permission_only() {
    let Some(dir) = place() else { return };
    let (port, server) = serve(dir.path(), |mut line| line.log_in());
    let mut device = Device::new(config(dir.path(), port));
    device.until("a login", |e| matches!(e, Event::Online { .. }));
    server.join().unwrap();
    device.until("an end", |e| matches!(e, Event::Offline { .. }));
    device.send(Command::Stop);
    let (port, server) = serve(dir.path(), |mut line| {
        line.until("<stream:stream");
        line.say(&format!("{HEAD}<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"));
        let mut rest = Vec::new();
        let _ = line.0.read_to_end(&mut rest);
        String::from_utf8(rest).unwrap()
    });
    let (why, _) = Device::refused(Config { plain: false, ..config(dir.path(), port) });
    assert!(why.contains("only PLAIN"), "{why}");
    assert_eq!(server.join().unwrap(), "", "nothing of the password was said");
}
