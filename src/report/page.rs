//! The whole page.

use super::html::Html;
use super::{Problem, Report, chart, days};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// How every page begins: a file that does not is none of ours, and is not replaced.
pub const MARK: &str = "<!DOCTYPE html>\n<!-- made by sharelock report -->\n";

const STYLE: &str = include_str!("style.css");

/// Problems and devices that are shown; the rest is a number.
const SHOWN: usize = 50;

/// The page, whole.
pub fn page(r: &Report) -> String {
    let mut out = Html::default();
    out.raw(MARK).raw("<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    out.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"").text(&policy()).raw("\"/>\n");
    out.raw(
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n",
    );
    out.raw("<meta name=\"referrer\" content=\"no-referrer\"/>\n<title>sharelock: ").text(&r.share).raw(" on ").text(&r.device);
    out.raw("</title>\n<style>").raw(STYLE).raw("</style>\n</head>\n<body>\n<main>\n");
    out.raw("<header>\n<h1>").name(&r.share).raw(" on ").name(&r.device).raw("</h1>\n<p class=\"");
    out.raw(if r.troubled { "standing troubled" } else { "standing" }).raw("\">");
    for (n, line) in r.standing.iter().enumerate() {
        out.raw(if n > 0 { "<br/>" } else { "" }).text(line);
    }
    out.raw("</p>\n<p class=\"note\">as of ").text(&r.made).raw("</p>\n</header>\n");
    problems(&mut out, &r.problems);
    devices(&mut out, r);
    nodes(&mut out, r);
    out.raw("<section>\n<h2>what takes the space</h2>\n<h3>on this device</h3>\n");
    chart::bars(&mut out, &r.parts);
    if !r.largest.is_empty() {
        out.raw("<h3>largest in ").name(&r.share).raw("</h3>\n");
        chart::bars(&mut out, &r.largest);
    }
    out.raw("</section>\n<footer><p>made by sharelock ").text(&r.version);
    out.raw(". names of your files stand in it, so only you can read the file. it loads nothing, and tells nobody.</p></footer>\n");
    out.raw("</main>\n</body>\n</html>\n");
    out.finish()
}

/// Nothing is loaded, run, framed or sent; the one style sheet is known by its hash.
fn policy() -> String {
    let hash = BASE64.encode(&Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

fn problems(out: &mut Html, all: &[Problem]) {
    out.raw("<section>\n<h2>problems and conflicts</h2>\n");
    if all.is_empty() {
        out.raw("<p>there are none.</p>\n");
    }
    out.raw(if all.is_empty() { "" } else { "<ul class=\"problems\">\n" });
    for p in all.iter().take(SHOWN) {
        out.raw("<li>");
        if let Some(path) = &p.path {
            out.raw("<b>").name(path).raw("</b> ");
        }
        out.text(&p.what);
        if let Some(command) = &p.command {
            out.raw("<pre><code>").text(command).raw("</code></pre>");
        }
        out.raw("</li>\n");
    }
    out.raw(if all.is_empty() { "" } else { "</ul>\n" });
    if all.len() > SHOWN {
        out.raw("<p>and ").number((all.len() - SHOWN) as i64).raw(" more: <code>sharelock status --files</code></p>\n");
    }
    out.raw("</section>\n");
}

fn devices(out: &mut Html, r: &Report) {
    out.raw("<section>\n<h2>devices</h2>\n");
    for d in r.devices.iter().take(SHOWN) {
        out.raw("<article>\n<h3>").name(&d.name).raw("</h3>\n");
        out.raw("<p>").text(&d.lines.join("; ")).raw("</p>\n");
        days::year(out, d, r.today);
        out.raw("</article>\n");
    }
    if r.devices.len() > SHOWN {
        out.raw("<p>and ").number((r.devices.len() - SHOWN) as i64).raw(" more</p>\n");
    }
    if r.devices.iter().any(|d| !d.days.is_empty()) {
        days::legend(out);
    }
    if r.devices.len() > 1 {
        out.raw(
            "<p class=\"note\">a device tells what it has only when it sends something: another one may have fetched more since.</p>\n",
        );
    }
    out.raw("</section>\n");
}

fn nodes(out: &mut Html, r: &Report) {
    out.raw("<section>\n<h2>storage nodes</h2>\n");
    if r.nodes.is_empty() {
        out.raw("<p>there is none: everything is on this device only.</p>\n<pre><code>sharelock remote add NAME URL</code></pre>\n");
    }
    let first = r.nodes.iter().filter_map(|n| n.given.first()).map(|(day, _)| *day).min().unwrap_or(r.today);
    let most = r.nodes.iter().filter_map(|n| n.given.last()).map(|(_, bytes)| *bytes).max().unwrap_or(0);
    for n in &r.nodes {
        out.raw("<article>\n<h3>").name(&n.name).raw(" <small>").name(&n.place).raw("</small></h3>\n");
        out.raw("<p>").text(&n.lines.join("; ")).raw("</p>\n");
        chart::given(out, n, first, r.today, most);
        out.raw("</article>\n");
    }
    if most > 0 {
        out.raw("<p class=\"note\">the curves are what a node has been given by the history that it is known to have, counted whole: ");
        out.raw("a server that stores differences takes less.</p>\n");
    }
    out.raw("</section>\n");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Day, Device, Node, Taken};
    use super::*;

    const HOSTILE: &str = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\"'\u{202e}\n&amp;";

    fn hostile() -> Report {
        let text = || HOSTILE.to_string();
        let taken = || Taken { name: text(), what: text(), bytes: 7 };
        Report {
            share: text(),
            device: text(),
            made: text(),
            version: text(),
            standing: vec![text(), text()],
            troubled: true,
            today: 20_000,
            problems: vec![Problem { path: Some(text()), what: text(), command: Some(text()) }],
            devices: vec![Device { name: text(), lines: vec![text()], days: [(20_000, Day { changes: 1, bytes: 1 })].into() }],
            nodes: vec![Node { name: text(), place: text(), lines: vec![text()], given: vec![(19_990, 1)] }],
            parts: vec![taken()],
            largest: vec![taken()],
        }
    }

    #[test]
    fn no_field_is_markup() {
        let (page, plain) = (page(&hostile()), page(&Report::default()));
        assert!(page.starts_with(MARK) && plain.starts_with(MARK));
        for (n, fewest) in [("&lt;script&gt;", 15), ("&quot;&#39;\\u{202e}\\n&amp;amp;", 15)] {
            assert!(page.matches(n).count() >= fewest, "{n}: {}", page.matches(n).count());
        }
        for no in ["<script", "<img", "<a ", "href", "http:", "https:", "url(", "@import", "\u{202e}"] {
            assert!(!page.contains(no) && !plain.contains(no), "{no}");
        }
        // Between the tags of ours there is no other.
        assert_eq!(page.matches("</style>").count(), 1);
        assert_eq!(page.matches("style").count() - plain.matches("style").count(), page.matches("/style&gt;").count());
    }

    #[test]
    fn the_policy_names_the_style_that_is_there() {
        let page = page(&Report::default());
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = BASE64.encode(&Sha256::digest(style));
        assert!(page.contains(&format!("content=\"default-src &#39;none&#39;; style-src &#39;sha256-{hash}&#39;; ")), "{hash}");
        assert!(!STYLE.contains(['<', '&']) && !page.contains("style="), "{STYLE}");
    }

    #[test]
    fn more_than_fits_is_a_number() {
        let problem = Problem { what: "x".into(), ..Problem::default() };
        let r = Report { problems: vec![problem; 60], devices: vec![Device::default(); 52], ..Report::default() };
        let page = page(&r);
        assert!(page.contains("<p>and 10 more: <code>sharelock status --files</code></p>") && page.contains("<p>and 2 more</p>"));
    }
}
