//! HTML that strangers' words cannot break out of.
//!
//! Markup is `&'static str`, so it stands in this program's source; everything else is text or a number. What is written
//! is well-formed XML, too.

use crate::path::printable;
use std::fmt::Write;

/// A page under way.
#[derive(Default)]
pub struct Html(String);

impl Html {
    /// Markup of ours.
    pub fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Text of anybody's, between tags or in a quoted attribute.
    pub fn text(&mut self, text: &str) -> &mut Html {
        escape(text, &mut self.0);
        self
    }

    /// A name: whatever direction its letters run in, they do not turn what stands around it.
    pub fn name(&mut self, name: &str) -> &mut Html {
        self.raw("<bdi>").text(name).raw("</bdi>")
    }

    /// A number.
    pub fn number(&mut self, n: i64) -> &mut Html {
        let _ = write!(self.0, "{n}");
        self
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }
}

/// The one place where text becomes HTML. What a person cannot see, or what moves other text, is shown by its number: as
/// [`printable`] does it for terminals, and a few more.
fn escape(text: &str, out: &mut String) {
    for c in printable(text.as_bytes()).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Invisible ones, and those that XML has not.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => {
                out.extend(c.escape_unicode());
            }
            '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}' => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.finish()
    }

    #[test]
    fn nothing_breaks_out() {
        for (text, want) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("' x='", "&#39; x=&#39;"),
            ("&lt;", "&amp;lt;"),
            ("]]>-->", "]]&gt;--&gt;"),
            ("a\nb\tc\0d\u{1b}[2J", "a\\nb\\tc\\u{0}d\\u{1b}[2J"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("\u{2066}\u{2069}\u{200f}\u{61c}", "\\u{2066}\\u{2069}\\u{200f}\\u{61c}"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("\u{fffe}\u{ffff}\u{85}", "\\u{fffe}\\u{ffff}\\u{85}"),
            ("\u{2028}\u{e0041}", "\\u{2028}\\u{e0041}"),
            (
                "gr\u{fc}n \u{1f469}\u{200d}\u{1f680} \u{5e9}\u{5dc}\u{5d5}\u{5dd}",
                "gr\u{fc}n \u{1f469}\u{200d}\u{1f680} \u{5e9}\u{5dc}\u{5d5}\u{5dd}",
            ),
        ] {
            assert_eq!(escaped(text), want);
        }
    }

    /// Whatever the text, no character of it is one that markup is made of.
    #[test]
    fn no_character_is_markup() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let mut out = escaped(&c.to_string());
            for entity in ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"] {
                out = out.replace(entity, "");
            }
            assert!(!out.contains(['<', '>', '&', '"', '\'']) && !out.contains(char::is_control), "{c:?}: {out}");
        }
    }

    #[test]
    fn names_are_isolated() {
        let mut html = Html::default();
        html.raw("<p>").name("<b>").raw(" ").number(-7).raw("</p>");
        assert_eq!(html.finish(), "<p><bdi>&lt;b&gt;</bdi> -7</p>");
    }
}
