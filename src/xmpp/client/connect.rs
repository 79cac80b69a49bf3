//! From a configuration to a bound stream: DNS, TCP, TLS, login.

use super::random;
use crate::xmpp::srv::{self, Place, Record};
use crate::xmpp::stream::{Happening, Login, Stream};
use crate::xmpp::tls::{self, Verifier};
use crate::xmpp::{Config, Result, Tls, Trouble};
use data_encoding::HEXLOWER;
use futures_rustls::client::TlsStream;
use rsdns::clients::ClientConfig;
use rsdns::clients::smol::Client as Dns;
use rsdns::records::Class;
use rsdns::records::data::Srv;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use smol::future::FutureExt;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::net::TcpStream;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// For one address.
const TCP: Duration = Duration::from_secs(15);
/// For TLS and login together, at one place.
const LOGIN: Duration = Duration::from_secs(45);
/// For one name server, both records.
const DNS: Duration = Duration::from_secs(5);
/// Addresses that are tried for one name.
const ADDRESSES: usize = 8;
/// Places of SRV that are tried.
const PLACES: usize = 8;

/// A bound connection.
pub(super) struct Connected {
    pub(super) io: TlsStream<TcpStream>,
    pub(super) stream: Stream,
    pub(super) tls: Tls,
    /// What the server sent with the last bytes of the login.
    pub(super) first: Vec<Happening>,
}

/// Connects and logs in; `first` begins with [`Happening::Bound`].
pub(super) async fn connect(config: &Config, resource: &str) -> Result<Connected> {
    let domain = ascii(config.jid.domain().as_str())?;
    let mut last = Trouble::broken(format!("{domain} has no XMPP server"));
    for place in places(config, &domain).await?.into_iter().take(PLACES) {
        match at(config, &domain, resource, &place).await {
            Err(Trouble::Broken(why)) => last = Trouble::Broken(why),
            other => return other,
        }
    }
    Err(last)
}

/// A domain as DNS and certificates write it.
fn ascii(domain: &str) -> Result<String> {
    let bare = domain.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_string());
    }
    idna::domain_to_ascii(domain).map_err(|_| Trouble::refused(format!("{domain} is no domain"), "set jid in the config's [xmpp]"))
}

async fn places(config: &Config, domain: &str) -> Result<Vec<Place>> {
    if let Some(place) = srv::configured(config, domain) {
        return Ok(vec![place]);
    }
    let servers = match config.nameservers.is_empty() {
        true => srv::nameservers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
        false => config.nameservers.clone(),
    };
    if domain.parse::<std::net::IpAddr>().is_ok() || servers.is_empty() {
        return Ok(vec![srv::fallback(config, domain)]);
    }
    let mut answer = None;
    for server in servers {
        answer = smol::future::zip(records(server, "_xmpp-client", domain), records(server, "_xmpps-client", domain)).await.into();
        if let Some((Some(_), Some(_))) = answer {
            break;
        }
    }
    let Some((Some(start), Some(direct))) = answer else {
        return Err(Trouble::broken(format!("DNS does not say where the XMPP server of {domain} is; host in [xmpp] does without")));
    };
    let wanted = |tls: Tls, records: Vec<Record>| if config.tls.is_none_or(|t| t == tls) { records } else { Vec::new() };
    match srv::order(wanted(Tls::Start, start), wanted(Tls::Direct, direct), |n| random() % n) {
        Some(places) if places.is_empty() => Ok(vec![srv::fallback(config, domain)]),
        Some(places) => Ok(places),
        None => Err(Trouble::refused(format!("{domain} says that it has no XMPP server"), "set jid, or host, in the config's [xmpp]")),
    }
}

/// `None`: the server did not answer. A server that knows nothing, or not what SRV is, gives an empty answer.
async fn records(server: SocketAddr, service: &str, domain: &str) -> Option<Vec<Record>> {
    let config = ClientConfig::with_nameserver(server).set_query_lifetime(DNS);
    let mut dns = Dns::new(config).await.ok()?;
    match dns.query_rrset::<Srv>(&format!("{service}._tcp.{domain}."), Class::IN).await {
        Ok(set) => {
            let record = |s: Srv| Record { priority: s.priority, weight: s.weight, port: s.port, target: s.target.as_str().to_string() };
            Some(set.rdata.into_iter().take(64).map(record).collect())
        }
        Err(rsdns::Error::IoError(_) | rsdns::Error::Timeout) => None,
        Err(_) => Some(Vec::new()),
    }
}

async fn at(config: &Config, domain: &str, resource: &str, place: &Place) -> Result<Connected> {
    let tcp = tcp(place).await?;
    let mut nonce = [0; 24];
    getrandom::fill(&mut nonce).map_err(|e| Trouble::broken(format!("no random bytes: {e}")))?;
    let login = Login {
        jid: config.jid.clone(),
        password: config.password.clone(),
        resource: resource.to_string(),
        plain: config.plain,
        nonce: HEXLOWER.encode(&nonce),
    };
    let (connector, verifier) = tls::connector(&config.trust, place.tls)?;
    let name = ServerName::try_from(domain.to_string()).map_err(|_| Trouble::broken(format!("{domain} is no server's name")))?;
    let whole = async {
        let mut stream = Stream::new(login, place.tls);
        let mut tcp = tcp;
        if place.tls == Tls::Start {
            let happened = exchange(&mut tcp, &mut stream).await?;
            if !matches!(happened[..], [Happening::StartTls]) {
                return Err(Trouble::broken("the XMPP server ended the connection"));
            }
        }
        let mut io = secure(&connector, &verifier, name, tcp, domain).await?;
        stream.secured(exporter(&io));
        let first = exchange(&mut io, &mut stream).await?;
        match first.first() {
            Some(Happening::Bound(_)) => Ok(Connected { io, stream, tls: place.tls, first }),
            _ => Err(Trouble::broken("the XMPP server ended the connection")),
        }
    };
    let late = async {
        smol::Timer::after(LOGIN).await;
        Err(Trouble::broken(format!("{}:{} does not go on", place.host, place.port)))
    };
    whole.or(late).await
}

async fn tcp(place: &Place) -> Result<TcpStream> {
    let failed = |e: &dyn std::fmt::Display| Trouble::broken(format!("{}:{} is not reachable: {e}", place.host, place.port));
    let found = async { smol::net::resolve((place.host.as_str(), place.port)).await.map_err(|e| failed(&e)) };
    let late = async {
        smol::Timer::after(TCP).await;
        Err(failed(&"its name is not known"))
    };
    let mut last = failed(&"it has no address");
    for address in found.or(late).await?.into_iter().take(ADDRESSES) {
        let late = async {
            smol::Timer::after(TCP).await;
            Err(std::io::Error::from(std::io::ErrorKind::TimedOut))
        };
        match TcpStream::connect(address).or(late).await {
            Ok(tcp) => {
                // Stanzas are small, and each is wanted at once.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Err(e) => last = failed(&e),
        }
    }
    Err(last)
}

async fn secure(
    connector: &futures_rustls::TlsConnector,
    verifier: &Arc<Verifier>,
    name: ServerName<'static>,
    tcp: TcpStream,
    domain: &str,
) -> Result<TlsStream<TcpStream>> {
    connector.connect(name, tcp).await.map_err(|e| verifier.explain(&e, domain))
}

/// RFC 9266, from TLS 1.3 only: below it the exporter is bound to the handshake by an extension alone.
fn exporter(io: &TlsStream<TcpStream>) -> Option<[u8; 32]> {
    let connection = io.get_ref().1;
    if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).ok()
}

/// Writes and reads until something has happened.
async fn exchange<I: AsyncRead + AsyncWrite + Unpin>(io: &mut I, stream: &mut Stream) -> Result<Vec<Happening>> {
    let mut buffer = vec![0; 4096];
    loop {
        let out = stream.output();
        io.write_all(&out).await.map_err(|e| broken(&e))?;
        io.flush().await.map_err(|e| broken(&e))?;
        let n = io.read(&mut buffer).await.map_err(|e| broken(&e))?;
        if n == 0 {
            return Err(Trouble::broken("the XMPP server closed the connection"));
        }
        let happened = stream.feed(&buffer[..n])?;
        if !happened.is_empty() {
            return Ok(happened);
        }
    }
}

/// A line that broke.
pub(super) fn broken(e: &std::io::Error) -> Trouble {
    Trouble::broken(format!("the connection to the XMPP server broke: {e}"))
}
