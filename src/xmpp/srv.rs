//! Where the server is: SRV records (RFC 2782; RFC 6120 3.2; XEP-0368), both kinds merged.
//!
//! Records say where to connect, never whom to trust: the certificate must name the account's domain.

use super::{Config, Tls};
use std::net::{IpAddr, SocketAddr};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Lower ones first.
    pub priority: u16,
    /// The share among those of equal priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host, with or without its last dot; `.` says that there is no such service.
    pub target: String,
}

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How it becomes private there.
    pub tls: Tls,
}

/// The place that the configuration names, if it names one.
pub fn configured(config: &Config, domain: &str) -> Option<Place> {
    if config.host.is_none() && config.port.is_none() {
        return None;
    }
    let tls = config.tls.unwrap_or(Tls::Start);
    Some(Place { host: config.host.clone().unwrap_or_else(|| domain.to_string()), port: config.port.unwrap_or(port(tls)), tls })
}

/// The place where there are no records (RFC 6120 3.2.2).
pub fn fallback(config: &Config, domain: &str) -> Place {
    let tls = config.tls.unwrap_or(Tls::Start);
    Place { host: domain.to_string(), port: port(tls), tls }
}

fn port(tls: Tls) -> u16 {
    match tls {
        Tls::Start => 5222,
        Tls::Direct => 5223,
    }
}

/// Places in the order in which to try them. `random(n)` gives a number below `n`.
///
/// `None`: there are records, and all say that there is no such service.
pub fn order(start: Vec<Record>, direct: Vec<Record>, mut random: impl FnMut(u64) -> u64) -> Option<Vec<Place>> {
    let all = start.into_iter().map(|r| (r, Tls::Start)).chain(direct.into_iter().map(|r| (r, Tls::Direct)));
    let (mut left, none): (Vec<_>, Vec<_>) = all.partition(|(r, _)| !r.target.trim_end_matches('.').is_empty());
    if left.is_empty() && !none.is_empty() {
        return None;
    }
    // RFC 2782: within a priority, zero weights stand first, and a running sum decides.
    left.sort_by_key(|(r, _)| (r.priority, r.weight != 0));
    let mut out = Vec::new();
    while let Some(priority) = left.first().map(|(r, _)| r.priority) {
        let group = left.iter().take_while(|(r, _)| r.priority == priority).count();
        let sum: u64 = left[..group].iter().map(|(r, _)| u64::from(r.weight)).sum();
        let drawn = random(sum + 1);
        let mut running = 0;
        let at = left[..group].iter().position(|(r, _)| {
            running += u64::from(r.weight);
            running >= drawn
        });
        let (r, tls) = left.remove(at.unwrap_or(0));
        out.push(Place { host: r.target.trim_end_matches('.').to_string(), port: r.port, tls });
    }
    Some(out)
}

/// The name servers of a `resolv.conf` (resolv.conf(5)): at most three, as libc takes them.
pub fn nameservers(resolv_conf: &str) -> Vec<SocketAddr> {
    let named = resolv_conf.lines().filter_map(|l| {
        let mut words = l.split_ascii_whitespace();
        // An IPv6 address may carry its interface (`fe80::1%eth0`), which cannot be used without its number.
        (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    });
    named.take(3).map(|ip| SocketAddr::new(ip, 53)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> Record {
        Record { priority, weight, port: 5222, target: target.into() }
    }

    fn hosts(start: Vec<Record>, direct: Vec<Record>, drawn: u64) -> Option<Vec<String>> {
        order(start, direct, |n| drawn.min(n - 1)).map(|p| p.into_iter().map(|p| format!("{:?} {}", p.tls, p.host)).collect())
    }

    #[test]
    fn both_kinds_are_merged_by_priority() {
        let got = hosts(vec![record(10, 0, "b."), record(5, 0, "a.")], vec![record(7, 0, "m."), record(1, 0, "first")], 0);
        assert_eq!(got.unwrap(), ["Direct first", "Start a", "Direct m", "Start b"]);
    }

    #[test]
    fn weights_share() {
        let records = || vec![record(1, 0, "zero"), record(1, 10, "ten"), record(1, 30, "thirty")];
        assert_eq!(hosts(records(), vec![], 0).unwrap()[0], "Start zero");
        assert_eq!(hosts(records(), vec![], 1).unwrap()[0], "Start ten");
        assert_eq!(hosts(records(), vec![], 10).unwrap()[0], "Start ten");
        assert_eq!(hosts(records(), vec![], 11).unwrap()[0], "Start thirty");
        assert_eq!(hosts(records(), vec![], 40).unwrap().len(), 3);
    }

    #[test]
    fn a_dot_means_none() {
        assert_eq!(hosts(vec![record(0, 0, ".")], vec![], 0), None);
        assert_eq!(hosts(vec![record(0, 0, ".")], vec![record(0, 0, "d")], 0).unwrap(), ["Direct d"]);
        assert_eq!(hosts(vec![], vec![], 0).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn resolv_conf_is_read() {
        let text = "# nameserver 9.9.9.9\nsearch x\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 1.1.1.1\nnameserver 8.8.8.8\n";
        let got: Vec<String> = nameservers(text).iter().map(|a| a.to_string()).collect();
        assert_eq!(got, ["127.0.0.53:53", "[::1]:53", "1.1.1.1:53"]);
    }
}
