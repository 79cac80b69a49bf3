//! Numbers as people read them.

/// `1,204`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 file`, `1,204 files`.
pub fn files(n: u64) -> String {
    plural(n, "file")
}

/// `1 change`, `2 changes`.
pub fn plural(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `2.1 kB`, `31 MB`: powers of 1000, two digits that mean something.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 || unit == "GB" {
            return match unit {
                "B" => format!("{bytes} B"),
                _ if value < 9.95 => format!("{value:.1} {unit}"),
                _ => format!("{value:.0} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(["1", "1,204", "1,000,000"], [count(1), count(1204), count(1_000_000)].map(|s| s).each_ref().map(|s| s.as_str()));
        for (n, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (2_140, "2.1 kB"),
            (31_000_000, "31 MB"),
            (3_100_000_000, "3.1 GB"),
            (999_999, "1.0 MB"),
            (5_000_000_000_000, "5000 GB"),
        ] {
            assert_eq!(size(n), want);
        }
        assert_eq!((files(1), files(2)), ("1 file".into(), "2 files".into()));
    }
}
