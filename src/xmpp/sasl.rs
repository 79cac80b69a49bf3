//! SASL (RFC 4422, RFC 6120 6): SCRAM-SHA-256 and SCRAM-SHA-1 (RFC 5802, 7677), with `-PLUS` where it works; PLAIN (RFC 4616) by permission.
//!
//! MUST reject, beside what the RFCs say: a nonce that does not extend ours (a replayed challenge); fewer than
//! [`FLOOR`] iterations (a server that wants the hash of the password cheaply) and more than [`CEILING`] (a device that
//! computes for hours); a success without the server's proof (a server that does not know the password).

use super::{Result, Trouble};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The fewest iterations (RFC 5802 5.1 recommends at least so many).
pub const FLOOR: u32 = 4096;
/// The most: some seconds on the slowest of our machines.
pub const CEILING: u32 = 600_000;

/// What the server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Names of mechanisms.
    pub mechanisms: Vec<String>,
    /// XEP-0440: channel bindings that it says to have. Some servers offer `-PLUS` and then refuse it.
    pub bindings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    fn hmac(self, key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
        fn with<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
            let mut m = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
            m.update(text);
            Zeroizing::new(m.finalize().into_bytes().to_vec())
        }
        match self {
            Hash::Sha1 => with::<Hmac<Sha1>>(key, text),
            Hash::Sha256 => with::<Hmac<Sha256>>(key, text),
        }
    }

    fn digest(self, text: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Hash::Sha1 => Sha1::digest(text).to_vec(),
            Hash::Sha256 => Sha256::digest(text).to_vec(),
        })
    }

    /// `Hi` of RFC 5802 2.2.
    fn salted(self, password: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<Vec<u8>> {
        match self {
            Hash::Sha1 => {
                let mut out = Zeroizing::new(vec![0; 20]);
                pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, &mut out);
                out
            }
            Hash::Sha256 => {
                let mut out = Zeroizing::new(vec![0; 32]);
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut out);
                out
            }
        }
    }
}

enum Step {
    /// SCRAM: the first message is out.
    First { nonce: String, bare: String, gs2: String, binding: Vec<u8> },
    /// SCRAM: our proof is out; the server's is awaited.
    Proof { expected: Zeroizing<Vec<u8>> },
    /// Nothing is open: the server has shown its proof, or PLAIN knows none.
    Done,
}

/// One exchange.
pub struct Exchange {
    /// The mechanism's name.
    pub mechanism: &'static str,
    hash: Hash,
    password: Zeroizing<String>,
    step: Step,
}

impl Exchange {
    /// Chooses a mechanism and gives the initial response, not yet in base64.
    ///
    /// `exporter`: 32 bytes of RFC 9266 of this connection, if it has them; `nonce`: random, printable, without a comma.
    pub fn begin(
        offer: &Offer,
        user: &str,
        password: &str,
        exporter: Option<&[u8; 32]>,
        plain: bool,
        nonce: String,
    ) -> Result<(Exchange, Zeroizing<Vec<u8>>)> {
        let bad = |what: &str| {
            let why = format!("the {what} has a character that XMPP does not allow (RFC 4013)");
            Trouble::refused(why, "set jid and password in the config's [xmpp]")
        };
        let user = stringprep::saslprep(user).map_err(|_| bad("account's name"))?;
        let prepared = stringprep::saslprep(password).map_err(|_| bad("XMPP password"))?;
        let password = Zeroizing::new(prepared.into_owned());
        let has = |name: &str| offer.mechanisms.iter().any(|m| m == name);
        let bound = exporter.filter(|_| offer.bindings.iter().any(|b| b == "tls-exporter"));
        let plus = offer.mechanisms.iter().any(|m| m.ends_with("-PLUS"));
        let scram = [
            ("SCRAM-SHA-256-PLUS", Hash::Sha256, true),
            ("SCRAM-SHA-256", Hash::Sha256, false),
            ("SCRAM-SHA-1-PLUS", Hash::Sha1, true),
            ("SCRAM-SHA-1", Hash::Sha1, false),
        ];
        if let Some((mechanism, hash, with)) = scram.into_iter().find(|(name, _, with)| has(name) && (!with || bound.is_some())) {
            // RFC 5802 6: `y` says 'I could, but you did not offer it', so that stripping the offer is noticed.
            let gs2 = match (with, exporter) {
                (true, _) => "p=tls-exporter,,",
                (false, Some(_)) if !plus => "y,,",
                _ => "n,,",
            };
            let bare = format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C"));
            let first = Zeroizing::new(format!("{gs2}{bare}").into_bytes());
            let binding = if with { bound.map(|b| b.to_vec()).unwrap_or_default() } else { Vec::new() };
            let step = Step::First { nonce, bare, gs2: gs2.into(), binding };
            return Ok((Exchange { mechanism, hash, password, step }, first));
        }
        if plain && has("PLAIN") {
            let first = Zeroizing::new(format!("\0{user}\0{}", *password).into_bytes());
            return Ok((Exchange { mechanism: "PLAIN", hash: Hash::Sha256, password, step: Step::Done }, first));
        }
        let why = format!("the XMPP server has no way to log in that is safe, only {}", offer.mechanisms.join(", "));
        Err(Trouble::refused(super::stanza::line(&why, 300), "use an account on a server that has SCRAM-SHA-256 or SCRAM-SHA-1"))
    }

    /// The answer to a challenge.
    pub fn challenge(&mut self, text: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        match std::mem::replace(&mut self.step, Step::Done) {
            Step::First { nonce, bare, gs2, binding } => {
                let server = std::str::from_utf8(text).map_err(|_| wrong("a challenge that is not UTF-8"))?;
                let (theirs, salt, rounds) = server_first(server, &nonce)?;
                let salted = self.hash.salted(self.password.as_bytes(), &salt, rounds);
                let key = self.hash.hmac(&salted, b"Client Key");
                let header = BASE64.encode(&[gs2.as_bytes(), &binding].concat());
                let unproved = format!("c={header},r={theirs}");
                let said = format!("{bare},{server},{unproved}");
                let signature = self.hash.hmac(&self.hash.digest(&key), said.as_bytes());
                let proof: Zeroizing<Vec<u8>> = Zeroizing::new(key.iter().zip(signature.iter()).map(|(a, b)| a ^ b).collect());
                let expected = self.hash.hmac(&self.hash.hmac(&salted, b"Server Key"), said.as_bytes());
                self.step = Step::Proof { expected };
                Ok(Zeroizing::new(format!("{unproved},p={}", BASE64.encode(&proof)).into_bytes()))
            }
            // RFC 6120 6.3.10: the proof may also come as a challenge, answered with nothing.
            Step::Proof { expected } => verify(&expected, text).map(|()| Zeroizing::new(Vec::new())),
            Step::Done => Err(wrong("a challenge where none belongs")),
        }
    }

    /// The server says that we are in, with `text` beside it.
    pub fn success(self, text: &[u8]) -> Result<()> {
        match self.step {
            Step::Proof { expected } => verify(&expected, text),
            Step::Done => Ok(()),
            Step::First { .. } => Err(wrong("a success without a proof that it knows the password")),
        }
    }
}

fn wrong(what: &str) -> Trouble {
    Trouble::refused(
        format!("not logged in: the XMPP server sent {what}"),
        "ask the server's operator; somebody between here and there looks the same",
    )
}

/// `r=..,s=..,i=..`: the whole nonce, the salt, the iterations. An extension (`m=`) that must be understood is refused.
fn server_first(text: &str, ours: &str) -> Result<(String, Vec<u8>, u32)> {
    let mut parts = text.split(',');
    let mut part = |key: &str| parts.next().and_then(|p| p.strip_prefix(key)).ok_or_else(|| wrong("a challenge that is not SCRAM's"));
    let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
    if !nonce.starts_with(ours) || nonce.len() == ours.len() {
        return Err(wrong("a nonce that does not extend ours"));
    }
    let salt = BASE64.decode(salt.as_bytes()).ok().filter(|s| !s.is_empty()).ok_or_else(|| wrong("a salt that is not base64"))?;
    let digits = rounds.len() <= 10 && rounds.bytes().all(|c| c.is_ascii_digit());
    match rounds.parse::<u64>().ok().filter(|_| digits) {
        Some(n) if n < u64::from(FLOOR) => Err(wrong(&format!("an iteration count of {n}, which is too low to be safe"))),
        Some(n) if n > u64::from(CEILING) => Err(wrong(&format!("an iteration count of {n}, which is too high"))),
        Some(n) => Ok((nonce.to_string(), salt, u32::try_from(n).expect("below the ceiling"))),
        None => Err(wrong("an iteration count that is not a number")),
    }
}

fn verify(expected: &[u8], text: &[u8]) -> Result<()> {
    let proof = text.strip_prefix(b"v=").map(|v| v.split(|c| *c == b',').next().unwrap_or_default());
    match proof.and_then(|v| BASE64.decode(v).ok()) {
        Some(v) if bool::from(v.ct_eq(expected)) => Ok(()),
        Some(_) => Err(wrong("a wrong proof: it does not know the password")),
        None => Err(wrong("no proof that it knows the password")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(mechanisms: &[&str], bindings: &[&str]) -> Offer {
        Offer { mechanisms: mechanisms.iter().map(|m| m.to_string()).collect(), bindings: bindings.iter().map(|m| m.to_string()).collect() }
    }

    fn begin(mechanism: &str, nonce: &str) -> Exchange {
        let (e, first) = Exchange::begin(&offer(&[mechanism], &[]), "user", "pencil", None, false, nonce.into()).unwrap();
        assert_eq!(*first, format!("n,,n=user,r={nonce}").into_bytes());
        e
    }

    #[test]
    fn rfc_5802_and_7677_vectors() {
        let mut e = begin("SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL");
        let answer = e.challenge(b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096").unwrap();
        assert_eq!(&*answer, b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
        e.success(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap();

        let mut e = begin("SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO");
        let answer = e.challenge(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").unwrap();
        assert_eq!(&*answer, b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        // The proof may come as a challenge, too.
        assert!(e.challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap().is_empty());
        e.success(b"").unwrap();
    }

    #[test]
    fn what_a_server_may_not_say() {
        for (what, text) in [
            ("another nonce", "r=OTHER3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"),
            ("our nonce alone", "r=abc,s=QSXCR+Q6sek8bf92,i=4096"),
            ("no salt", "r=abcd,s=,i=4096"),
            ("a bad salt", "r=abcd,s=!,i=4096"),
            ("one iteration", "r=abcd,s=QSXCR+Q6sek8bf92,i=1"),
            ("2^31", "r=abcd,s=QSXCR+Q6sek8bf92,i=2147483648"),
            ("2^64", "r=abcd,s=QSXCR+Q6sek8bf92,i=18446744073709551616"),
            ("a negative count", "r=abcd,s=QSXCR+Q6sek8bf92,i=-1"),
            ("an extension", "m=x,r=abcd,s=QSXCR+Q6sek8bf92,i=4096"),
            ("nothing", ""),
            ("parts in another order", "s=QSXCR+Q6sek8bf92,r=abcd,i=4096"),
        ] {
            assert!(begin("SCRAM-SHA-1", "abc").challenge(text.as_bytes()).is_err(), "{what}");
        }
        begin("SCRAM-SHA-1", "abc").challenge(b"r=abcd,s=QSXCR+Q6sek8bf92,i=4096").unwrap();
        let proved = |text: &[u8]| {
            let mut e = begin("SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL");
            e.challenge(b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096").unwrap();
            e.success(text)
        };
        for text in ["", "v=", "v=rmF9pqV8S7suAoZWja4dJRkFsKA=", "e=other-error", "v=rmF9"] {
            assert!(proved(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(begin("SCRAM-SHA-1", "abc").success(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").is_err(), "a success at once");
    }

    #[test]
    fn the_strongest_mechanism_that_works_is_taken() {
        let all = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
        let x = [7; 32];
        let chosen = |m: &[&str], b: &[&str], exporter: Option<&[u8; 32]>, plain| {
            Exchange::begin(&offer(m, b), "a=b,c", "p", exporter, plain, "N".into())
                .map(|(e, first)| (e.mechanism, String::from_utf8(first.to_vec()).unwrap()))
        };
        let plus = chosen(&all, &["tls-exporter"], Some(&x), false).unwrap();
        assert_eq!(plus, ("SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=a=3Db=2Cc,r=N".into()));
        // Offered, but not listed: not taken, and not accused either.
        assert_eq!(chosen(&all, &[], Some(&x), false).unwrap().1, "n,,n=a=3Db=2Cc,r=N");
        assert_eq!(chosen(&all, &["tls-exporter"], None, false).unwrap().0, "SCRAM-SHA-256");
        assert_eq!(chosen(&["SCRAM-SHA-1"], &[], Some(&x), false).unwrap().1, "y,,n=a=3Db=2Cc,r=N");
        assert!(chosen(&["PLAIN"], &[], None, false).is_err());
        assert_eq!(chosen(&["PLAIN"], &[], None, true).unwrap(), ("PLAIN", "\0a=b,c\0p".into()));
        assert!(chosen(&["DIGEST-MD5", "SCRAM-SHA-256-PLUS"], &[], Some(&x), true).is_err());
    }

    #[test]
    fn the_binding_is_in_the_proof() {
        let (mut e, _) =
            Exchange::begin(&offer(&["SCRAM-SHA-256-PLUS"], &["tls-exporter"]), "user", "pencil", Some(&[7; 32]), false, "abc".into())
                .unwrap();
        let answer = e.challenge(b"r=abcd,s=QSXCR+Q6sek8bf92,i=4096").unwrap();
        let header = BASE64.encode(&[&b"p=tls-exporter,,"[..], &[7; 32]].concat());
        assert!(answer.starts_with(format!("c={header},r=abcd,p=").as_bytes()));
    }

    #[test]
    fn accents_are_prepared() {
        // U+0061 U+0301 and U+00E1 are one password (RFC 4013 2.2), and so is a full-width letter.
        let answer = |password: &str| {
            let (mut e, _) = Exchange::begin(&offer(&["SCRAM-SHA-1"], &[]), "user", password, None, false, "abc".into()).unwrap();
            e.challenge(b"r=abcd,s=QSXCR+Q6sek8bf92,i=4096").unwrap().to_vec()
        };
        assert_eq!(answer("pa\u{301}ss\u{ff37}"), answer("p\u{e1}ssW"));
        assert_ne!(answer("pass"), answer("p\u{e1}ss"));
        assert!(Exchange::begin(&offer(&["SCRAM-SHA-1"], &[]), "user", "a\u{7}b", None, false, "abc".into()).is_err());
    }
}
