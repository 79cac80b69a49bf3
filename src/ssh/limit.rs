//! Bounds for waits that have none of their own: the system's resolver, and ssh-agent.
//!
//! Both are calls that nobody can interrupt. So they work in a thread, and when the time is over the thread is left behind
//! with its answer: it ends when the call ends, or with the process.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Runs `f` in a thread and waits for it; an error of kind `TimedOut` when `limit` is over.
pub fn within<T: Send + 'static>(limit: Duration, f: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (tell, hear) = mpsc::channel();
    std::thread::Builder::new().name("ssh-wait".into()).spawn(move || {
        let _ = tell.send(f()); // Nobody may be listening any more.
    })?;
    hear.recv_timeout(limit).map_err(|e| match e {
        RecvTimeoutError::Timeout => io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", limit.as_secs())),
        RecvTimeoutError::Disconnected => io::Error::other("the thread ended without an answer"),
    })
}

/// The addresses of a host, from the system's resolver.
pub fn addresses(host: &str, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![(ip, port).into()]);
    }
    let name = host.to_string();
    let found = within(limit, move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter));
    found.map_err(|e| io::Error::new(e.kind(), format!("its name could not be looked up: {e}")))?
}

/// Connects to the first address that answers. The limit is for all of them together: each may take its share of what is
/// left, so that one that swallows everything does not hide the next.
pub fn connect(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let start = Instant::now();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for (i, address) in addresses.iter().enumerate() {
        let left = limit.saturating_sub(start.elapsed());
        let share = left / u32::try_from(addresses.len() - i).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(100))) {
            Ok(stream) => {
                // Questions and answers go back and forth here: held back for an acknowledgement, each costs 40 ms.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn what_never_answers_is_left_behind() {
        let (_keep, never) = mpsc::channel::<()>();
        let start = Instant::now();
        let e = within(Duration::from_millis(50), move || never.recv().is_ok()).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(within(Duration::from_secs(60), || 7).unwrap(), 7);
    }

    #[test]
    fn names_and_numbers() {
        let limit = Duration::from_secs(60);
        assert_eq!(addresses("127.0.0.1", 7, limit).unwrap(), [(Ipv4Addr::LOCALHOST, 7).into()]);
        assert!(addresses("localhost", 7, limit).unwrap().iter().all(|a| a.ip().is_loopback() && a.port() == 7));
        assert!(addresses("no-such-host.invalid", 7, limit).is_err());
    }

    #[test]
    fn the_next_address_is_tried() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let here = listener.local_addr().unwrap();
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let stream = connect(&[closed, here], Duration::from_secs(60)).unwrap();
        assert_eq!((stream.peer_addr().unwrap(), stream.nodelay().unwrap()), (here, true));
        assert_eq!(connect(&[], Duration::from_secs(60)).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
