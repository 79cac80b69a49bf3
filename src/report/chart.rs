//! Bars, and how something grew.

use super::html::Html;
use super::{Node, Taken};
use crate::units;

/// The width of a bar, and of a chart, in its own units: the page stretches them.
const WIDTH: i64 = 1000;
/// The height of a chart.
const HEIGHT: i64 = 100;

/// A part of a whole as a number up to `of`. 128 bits: a size times a width may have more than 64.
fn part(n: u64, whole: u64, of: i64) -> i64 {
    (i128::from(n) * i128::from(of) / i128::from(whole.max(1))) as i64
}

/// A row for each, with a bar.
pub fn bars(out: &mut Html, all: &[Taken]) {
    let most = all.iter().map(|t| t.bytes).max().unwrap_or(0);
    out.raw("<ul class=\"bars\">\n");
    for t in all {
        out.raw("<li><span class=\"who\">").name(&t.name).raw("</span> <span class=\"size\">").text(&units::size(t.bytes));
        out.raw("</span> <span class=\"what\">").text(&t.what).raw("</span>");
        out.raw("<svg viewBox=\"0 0 1000 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
        out.raw("<rect class=\"back\" width=\"1000\" height=\"8\"/><rect class=\"fore\" width=\"");
        out.number(part(t.bytes, most, WIDTH)).raw("\" height=\"8\"/></svg></li>\n");
    }
    out.raw("</ul>\n");
}

/// How much a node had been given by when. All nodes have the same scales, so that they can be compared.
pub fn given(out: &mut Html, n: &Node, first: i64, today: i64, most: u64) {
    let Some((_, last)) = n.given.last() else { return };
    if first >= today {
        // One day is no curve.
        out.raw("<p class=\"scale\"><span>").text(&format!("{}: {}", super::days::iso(today), units::size(*last))).raw("</span></p>\n");
        return;
    }
    let x = |day: i64| part((day - first).max(0) as u64, (today - first).max(1) as u64, WIDTH).min(WIDTH);
    let y = |bytes: u64| HEIGHT - part(bytes, most, HEIGHT - 4);
    out.raw("<svg class=\"chart\" role=\"img\" viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\"><title>");
    out.text(&format!("what {} had been given, day by day", n.name)).raw("</title>");
    for class in ["area", "line"] {
        out.raw("<path class=\"").raw(class).raw("\" d=\"M0 ").number(HEIGHT);
        let mut at = HEIGHT;
        for (day, bytes) in thinned(&n.given) {
            // It stays as it is until it grows.
            out.raw(" L").number(x(*day)).raw(" ").number(at);
            at = y(*bytes);
            out.raw(" L").number(x(*day)).raw(" ").number(at);
        }
        out.raw(" L").number(WIDTH).raw(" ").number(at);
        if class == "area" {
            out.raw(" L").number(WIDTH).raw(" ").number(HEIGHT).raw(" Z");
        }
        out.raw("\"/>");
    }
    out.raw("</svg>\n<p class=\"scale\"><span>").text(&super::days::iso(first)).raw("</span> <span>");
    out.text(&format!("{}, {}", super::days::iso(today), units::size(*last))).raw("</span></p>\n");
}

/// No more points than a screen has columns; the last one is always among them.
fn thinned(points: &[(i64, u64)]) -> impl Iterator<Item = &(i64, u64)> {
    let step = points.len().div_ceil(WIDTH as usize).max(1);
    let last = points.len().saturating_sub(1);
    points.iter().enumerate().filter(move |(i, _)| i % step == 0 || *i == last).map(|(_, p)| p)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bars_fit_whatever_the_sizes() {
        let taken = |bytes| Taken { name: "<".into(), what: "x".into(), bytes };
        let mut out = Html::default();
        bars(&mut out, &[taken(u64::MAX), taken(u64::MAX / 2), taken(0)]);
        let text = out.finish();
        for width in ["\"1000\"", "\"499\"", "\"0\""] {
            assert!(text.contains(&format!("class=\"fore\" width={width}")), "{text}");
        }
        assert!(text.contains("<bdi>&lt;</bdi>"));
        let mut out = Html::default();
        bars(&mut out, &[taken(0)]);
        assert!(out.finish().contains("class=\"fore\" width=\"0\""));
    }

    #[test]
    fn a_line_of_steps() {
        let draw = |given: Vec<(i64, u64)>, first, today, most| {
            let mut out = Html::default();
            super::given(&mut out, &Node { given, ..Node::default() }, first, today, most);
            out.finish()
        };
        let text = draw(vec![(100, 50), (110, 100)], 100, 120, 100);
        assert!(text.contains("class=\"line\" d=\"M0 100 L0 100 L0 52 L500 52 L500 4 L1000 4\""), "{text}");
        assert_eq!(draw(vec![], 0, 0, 0), "");
        assert_eq!(draw(vec![(7, 1)], 7, 7, 1), "<p class=\"scale\"><span>1970-01-08: 1 B</span></p>\n", "the first day");
        let many: Vec<(i64, u64)> = (0..100_000).map(|n| (n, n as u64)).collect();
        assert!(thinned(&many).count() <= 1001 && thinned(&many).last() == many.last());
        assert!(draw(many, 0, 99_999, 99_999).len() < 60_000);
    }
}
