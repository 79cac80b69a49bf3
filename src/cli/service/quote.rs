//! A word in each of the languages of start-up files.

fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric() || b"/._-+,@:=".contains(&c))
}

/// sh(1): in single quotes.
pub(super) fn for_shell(word: &str) -> String {
    if is_plain(word) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// crontab(5): as the shell's, and `%` would be a line's end.
pub(super) fn for_cron(word: &str) -> String {
    for_shell(word).replace('%', "\\%")
}

/// systemd.service(5), "Command lines": in double quotes; `%` and `$` stand for something unless doubled.
pub(super) fn for_systemd(word: &str) -> String {
    if is_plain(word) {
        return word.into();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$"))
}

/// Desktop Entry Specification, "The Exec key": in double quotes with `\` before four characters, `%` doubled; and `\`
/// once more for the file.
pub(super) fn for_desktop(word: &str) -> String {
    if is_plain(word) {
        return word.into();
    }
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '`' | '$' | '\\' => out.extend(['\\', c]),
            '%' => out.push_str("%%"),
            c => out.push(c),
        }
    }
    out.push('"');
    out.replace('\\', "\\\\")
}

/// XML, between tags.
pub(super) fn for_xml(word: &str) -> String {
    word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(for_shell("it's"), "'it'\\''s'");
        assert_eq!(for_systemd("a\"b\\c$d"), "\"a\\\"b\\\\c$$d\"");
        assert_eq!(for_desktop("a$b"), "\"a\\\\$b\"");
        assert_eq!(for_xml("a&<b>"), "a&amp;&lt;b&gt;");
        assert_eq!([for_shell(""), for_systemd("/usr/bin/x")], ["''", "/usr/bin/x"]);
    }
}
