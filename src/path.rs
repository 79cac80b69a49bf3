//! Names and relative paths: bytes, validated once, printed safely.

use std::fmt;

/// One name in a directory of the share: 1 to 255 bytes, no NUL, no `/`, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Checks and takes `bytes`; `None` if no directory may hold such a name.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Option<Name> {
        let b = bytes.into();
        let ok = (1..=255).contains(&b.len()) && !b.contains(&0) && !b.contains(&b'/') && &*b != b"." && &*b != b"..";
        ok.then_some(Name(b))
    }

    /// The first of all names in their order: where a search in a directory begins.
    pub fn lowest() -> Name {
        Name([1u8].into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", printable(&self.0))
    }
}

/// A path relative to a root: names joined by `/`; empty for the root itself. Ordered as bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The root.
    pub fn root() -> RelPath {
        RelPath(Vec::new())
    }

    /// Reads `a/b/c`; `None` if a component is not a [`Name`]. An empty string is the root.
    pub fn new(bytes: &[u8]) -> Option<RelPath> {
        if bytes.is_empty() {
            return Some(RelPath::root());
        }
        bytes.split(|&c| c == b'/').all(|c| Name::new(c).is_some()).then(|| RelPath(bytes.to_vec()))
    }

    /// This path with one more name.
    #[must_use]
    pub fn join(&self, name: &Name) -> RelPath {
        let mut v = Vec::with_capacity(self.0.len() + 1 + name.as_bytes().len());
        v.extend_from_slice(&self.0);
        if !v.is_empty() {
            v.push(b'/');
        }
        v.extend_from_slice(name.as_bytes());
        RelPath(v)
    }

    /// The directory that holds it and its last name; `None` for the root.
    pub fn split(&self) -> Option<(RelPath, Name)> {
        if self.0.is_empty() {
            return None;
        }
        let at = self.0.iter().rposition(|&c| c == b'/');
        let (dir, name) = match at {
            Some(i) => (&self.0[..i], &self.0[i + 1..]),
            None => (&[][..], &self.0[..]),
        };
        Some((RelPath(dir.to_vec()), Name(name.into())))
    }

    /// The names from the root down.
    pub fn names(&self) -> impl Iterator<Item = Name> + '_ {
        self.0.split(|&c| c == b'/').filter(|c| !c.is_empty()).map(|c| Name(c.into()))
    }

    /// How many names it has.
    pub fn depth(&self) -> usize {
        if self.0.is_empty() { 0 } else { 1 + self.0.iter().filter(|&&c| c == b'/').count() }
    }

    /// The bytes, joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True for the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", printable(&self.0))
    }
}

/// A text as one word of a POSIX shell's command line.
pub fn shell_word(text: &str) -> String {
    match text.bytes().all(|c| c.is_ascii_alphanumeric() || b"/._-+,@%:".contains(&c)) && !text.is_empty() {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Bytes as text for a person: control characters and what is not UTF-8 are escaped (`\n`, `\x1b`, `\xff`), so that a
/// name can neither move the cursor nor forge a line.
pub fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if c.is_control() || bidi || c == '\u{2028}' || c == '\u{2029}' {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out
}
