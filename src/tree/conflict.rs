//! Conflict names (MERGE 6): from the losing version and the name that it would have had, and nothing else.

use super::{Version, Writer};
use crate::clock::Time;
use crate::clock::date::Date;
use crate::path::Name;

/// Longest name.
const MAX: usize = 255;
/// 9999-12-31 23:59:59.
const LAST: i64 = 253_402_300_799;

/// What a conflict name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The name without the mark.
    pub original: Name,
    /// The losing version's writer.
    pub writer: String,
    /// Date and time as they stand: `YYYY-MM-DD HHMMSS`.
    pub stamp: String,
}

/// The name of a conflict copy: `NAME (conflict DEVICE YYYY-MM-DD HHMMSS).EXT`; from `n` = 2 on with ` n` before the
/// closing bracket.
pub fn name(original: &Name, loser: &Version, n: u32) -> Name {
    let (stem, ext) = split_ext(original.as_bytes());
    let stem = strip(stem).map_or(stem, |(s, _)| s);
    let mut tail = format!(" (conflict {} {}", loser.writer.as_str(), stamp(loser.mtime, loser.offset));
    if n > 1 {
        tail.push_str(&format!(" {n}"));
    }
    tail.push(')');
    let room = MAX.saturating_sub(tail.len() + ext.len());
    let stem = shorten(stem, room);
    let bytes = [stem, tail.as_bytes(), ext].concat();
    Name::new(bytes).expect("at most 255 bytes, with a bracket in it")
}

/// Reads a conflict name; `None` for any other.
pub fn parse(name: &Name) -> Option<Parsed> {
    let (stem, ext) = split_ext(name.as_bytes());
    let (original, mark) = strip(stem)?;
    let mark = std::str::from_utf8(mark).ok()?;
    let mut words = mark.split(' ');
    let (writer, date, time) = (words.next()?, words.next()?, words.next()?);
    Some(Parsed { original: Name::new([original, ext].concat())?, writer: writer.to_string(), stamp: format!("{date} {time}") })
}

/// True if `copy` is a conflict name of the file that `name` is (or is a conflict copy of).
pub fn is_copy_of(copy: &Name, name: &Name) -> bool {
    let (s1, e1) = split_ext(copy.as_bytes());
    let (s2, e2) = split_ext(name.as_bytes());
    let Some((original, _)) = strip(s1) else { return false };
    e1 == e2 && original == strip(s2).map_or(s2, |(s, _)| s)
}

/// How every name begins for which [`is_copy_of`] `name` holds.
pub(super) fn copy_prefix(name: &Name) -> Vec<u8> {
    let (stem, _) = split_ext(name.as_bytes());
    let stem = strip(stem).map_or(stem, |(s, _)| s);
    [stem, b" (conflict "].concat()
}

/// Stem and extension: `.` and 1 to 16 ASCII letters or digits at the end, with a `.tar` before it; never at the start.
fn split_ext(name: &[u8]) -> (&[u8], &[u8]) {
    let Some(dot) = name.iter().rposition(|c| *c == b'.') else { return (name, b"") };
    let ext = &name[dot + 1..];
    if dot == 0 || !(1..=16).contains(&ext.len()) || !ext.iter().all(u8::is_ascii_alphanumeric) {
        return (name, b"");
    }
    let at = match name[..dot].strip_suffix(b".tar") {
        Some(stem) if !stem.is_empty() => stem.len(),
        _ => dot,
    };
    name.split_at(at)
}

/// Takes one ` (conflict DEVICE YYYY-MM-DD HHMMSS)` or `.. N)` from the end of a stem: what is before it (never empty)
/// and what stands between the brackets behind `conflict `.
fn strip(stem: &[u8]) -> Option<(&[u8], &[u8])> {
    const MARK: &[u8] = b" (conflict ";
    let inner = stem.strip_suffix(b")")?;
    let at = inner.windows(MARK.len()).rposition(|w| w == MARK)?;
    let mark = &inner[at + MARK.len()..];
    let mut words = mark.split(|c| *c == b' ');
    let (writer, date, time) = (words.next()?, words.next()?, words.next()?);
    let digits = |s: &[u8]| s.iter().all(u8::is_ascii_digit);
    let writer_ok = (1..=32).contains(&writer.len()) && !writer.iter().any(|c| matches!(c, b'/' | b'(' | b')'));
    let date_ok = date.len() == 10 && date.iter().enumerate().all(|(i, c)| if i == 4 || i == 7 { *c == b'-' } else { c.is_ascii_digit() });
    let time_ok = time.len() == 6 && digits(time);
    let n_ok = match words.next() {
        None => true,
        Some(n) => (1..=4).contains(&n.len()) && digits(n) && words.next().is_none(),
    };
    (at > 0 && writer_ok && date_ok && time_ok && n_ok).then(|| (&stem[..at], mark))
}

/// The first bytes that fit; at a character's boundary if the whole is UTF-8.
fn shorten(stem: &[u8], room: usize) -> &[u8] {
    if stem.len() <= room {
        return stem;
    }
    let mut end = room;
    if std::str::from_utf8(stem).is_ok() {
        while end > 0 && stem[end] & 0xc0 == 0x80 {
            end -= 1;
        }
    }
    &stem[..end]
}

/// `YYYY-MM-DD HHMMSS` on the writer's own clock, clamped to what four digits of a year can say.
fn stamp(t: Time, offset: i16) -> String {
    #[cfg(feature = "sim")]
    let t = if super::planted::is(super::planted::Mistake::NowNames) { now_names() } else { t };
    let s = (t.s + i64::from(offset) * 60).clamp(0, LAST);
    let d = Date::of(s);
    format!("{:04}-{:02}-{:02} {:02}{:02}{:02}", d.year, d.month, d.day, d.hour, d.minute, d.second)
}

#[cfg(feature = "sim")]
fn now_names() -> Time {
    use std::cell::Cell;
    thread_local!(static NOW: Cell<i64> = const { Cell::new(1_000_000) });
    NOW.set(NOW.get() + 1);
    Time { s: NOW.get(), ns: 0 }
}

/// The order in which conflict copies are named: by wanted path (given by the caller), then by this.
pub fn order(a: &Version, b: &Version) -> std::cmp::Ordering {
    fn key(v: &Version) -> (&Writer, Time, crate::id::Id, u64) {
        (&v.writer, v.mtime, v.id, v.generation)
    }
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Id, Oid};
    use crate::tree::FileKind;

    fn version(writer: &str, s: i64, offset: i16) -> Version {
        Version {
            id: Id([1; 16]),
            kind: FileKind::File,
            size: 0,
            mac: [0; 32],
            epoch: 0,
            segment: 0,
            exec: false,
            private: false,
            mtime: Time { s, ns: 0 },
            offset,
            generation: 1,
            writer: Writer::new(writer).unwrap(),
            oid: Oid::ZERO,
        }
    }

    fn named(n: &str, count: u32) -> String {
        let v = version("pi", 1_772_374_512, 0);
        String::from_utf8(name(&Name::new(n.as_bytes()).unwrap(), &v, count).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn rules() {
        assert_eq!(named("todo.txt", 1), "todo (conflict pi 2026-03-01 141512).txt");
        assert_eq!(named("todo.txt", 2), "todo (conflict pi 2026-03-01 141512 2).txt");
        assert_eq!(named(".bashrc", 1), ".bashrc (conflict pi 2026-03-01 141512)");
        assert_eq!(named("a.tar.gz", 1), "a (conflict pi 2026-03-01 141512).tar.gz");
        assert_eq!(named(".tar.gz", 1), ".tar (conflict pi 2026-03-01 141512).gz");
        assert_eq!(named("a.", 1), "a. (conflict pi 2026-03-01 141512)");
        assert_eq!(named("todo (conflict mac 2020-01-01 000000 7).txt", 1), "todo (conflict pi 2026-03-01 141512).txt");
    }

    #[test]
    fn the_writers_own_clock_and_its_ends() {
        let n = Name::new(*b"x").unwrap();
        let text = |s, o| name(&n, &version("pi", s, o), 1).to_string();
        assert_eq!(text(0, 90), "x (conflict pi 1970-01-01 013000)");
        assert_eq!(text(-5, 0), "x (conflict pi 1970-01-01 000000)");
        assert_eq!(text(1 << 40, 0), "x (conflict pi 9999-12-31 235959)");
        assert_eq!(text(951_782_400, 0), "x (conflict pi 2000-02-29 000000)");
    }

    #[test]
    fn long_names_are_cut_at_characters() {
        let long = "é".repeat(120) + ".txt";
        let out = named(&long, 1);
        assert!(out.len() <= 255 && out.len() > 252 && out.ends_with(").txt"));
        let raw = Name::new([vec![0xff; 250], b".txt".to_vec()].concat()).unwrap();
        assert_eq!(name(&raw, &version("pi", 0, 0), 1).as_bytes().len(), 255);
    }

    #[test]
    fn read_back() {
        let n = Name::new(named("a b.txt", 3).as_bytes()).unwrap();
        let p = parse(&n).unwrap();
        assert_eq!((p.original.as_bytes(), &*p.writer, &*p.stamp), (&b"a b.txt"[..], "pi", "2026-03-01 141512"));
        assert!(is_copy_of(&n, &Name::new(*b"a b.txt").unwrap()));
        assert!(!is_copy_of(&n, &Name::new(*b"a.txt").unwrap()));
        assert!(parse(&Name::new(*b"a (conflict).txt").unwrap()).is_none());
        assert!(parse(&Name::new(*b" (conflict pi 2026-03-01 141512)").unwrap()).is_none());
    }
}
