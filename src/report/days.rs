//! A year of days, a square each, in columns of weeks: how much a device sent when.

use super::html::Html;
use super::{Day, Device};
use crate::clock::date::{DAY, Date};
use crate::units;

/// Weeks of a year, the last one begun.
const WEEKS: i64 = 53;
/// Weeks in the older half: on a narrow screen the halves stand below each other.
const OLDER: i64 = 26;
/// From one square to the next, and its side.
const PITCH: i64 = 13;
const SIDE: i64 = 10;
/// Room for the names of months.
const TOP: i64 = 14;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The Monday of a day's week.
fn monday(day: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    day - (day + 3).rem_euclid(7)
}

fn date(day: i64) -> Date {
    Date::of(day.saturating_mul(DAY))
}

/// `2026-03-01`.
pub fn iso(day: i64) -> String {
    let Date { year, month, day, .. } = date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The year of one device.
pub fn year(out: &mut Html, d: &Device, today: i64) {
    let first = monday(today) - (WEEKS - 1) * 7;
    let sent = || d.days.range(first..=today);
    let days = sent().filter(|(_, d)| d.changes > 0).count() as u64;
    let changes = sent().map(|(_, d)| d.changes).sum();
    let bytes = sent().fold(0u64, |sum, (_, d)| sum.saturating_add(d.bytes));
    let told = match days {
        0 => "sent nothing within a year".to_string(),
        _ => format!(
            "sent {} on {} within a year, {} encrypted",
            units::plural(changes, "change"),
            units::plural(days, "day"),
            units::size(bytes)
        ),
    };
    out.raw("<p>").text(&told).raw("</p>\n");
    if days == 0 {
        return;
    }
    out.raw("<div class=\"year\">");
    half(out, d, first, OLDER, today);
    half(out, d, first + OLDER * 7, WEEKS - OLDER, today);
    out.raw("</div>\n");
}

fn half(out: &mut Html, d: &Device, first: i64, weeks: i64, today: i64) {
    let (width, height) = (weeks * PITCH, TOP + 7 * PITCH);
    out.raw("<svg class=\"days\" role=\"img\" width=\"").number(width).raw("\" height=\"").number(height);
    out.raw("\" viewBox=\"0 0 ").number(width).raw(" ").number(height).raw("\"><title>");
    let last = (first + weeks * 7 - 1).min(today);
    out.text(&format!("what {} sent from {} to {}", d.name, iso(first), iso(last))).raw("</title>");
    let mut named = -4;
    for week in 0..weeks {
        let monday = first + week * 7;
        let Date { month, day, .. } = date(monday);
        // A month's name stands over its first whole week, if the one before it leaves room, and it fits.
        if day <= 7 && week - named >= 3 && week + 2 <= weeks {
            out.raw("<text x=\"").number(week * PITCH).raw("\" y=\"10\">").text(MONTHS[(month as usize + 11) % 12]).raw("</text>");
            named = week;
        }
        for at in (0..7).filter(|n| monday + n <= today) {
            let day = d.days.get(&(monday + at)).copied().unwrap_or_default();
            out.raw("<rect class=\"").raw(level(day.changes)).raw("\" x=\"").number(week * PITCH).raw("\" y=\"").number(TOP + at * PITCH);
            out.raw("\" width=\"").number(SIDE).raw("\" height=\"").number(SIDE).raw("\" rx=\"2\"");
            match day {
                Day { changes: 0, .. } => out.raw("/>"),
                Day { changes, bytes } => {
                    let told = format!("{}: {}, {}", iso(monday + at), units::plural(changes, "change"), units::size(bytes));
                    out.raw("><title>").text(&told).raw("</title></rect>")
                }
            };
        }
    }
    out.raw("</svg>");
}

/// What the squares mean.
pub fn legend(out: &mut Html) {
    out.raw("<p class=\"legend\">changes a day: ");
    for (changes, words) in [(0, "none"), (1, "1"), (2, "2 to 4"), (5, "5 to 19"), (20, "20 and more")] {
        out.raw("<span><svg width=\"10\" height=\"10\" aria-hidden=\"true\"><rect class=\"").raw(level(changes));
        out.raw("\" width=\"10\" height=\"10\" rx=\"2\"/></svg> ").raw(words).raw("</span> ");
    }
    out.raw("</p>\n");
}

fn level(changes: u64) -> &'static str {
    match changes {
        0 => "l0",
        1 => "l1",
        2..=4 => "l2",
        5..=19 => "l3",
        _ => "l4",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TODAY: i64 = 20_513; // 2026-03-01, a Sunday

    fn drawn(days: &[(i64, u64)], today: i64) -> String {
        let days = days.iter().map(|(day, changes)| (*day, Day { changes: *changes, bytes: 1000 })).collect();
        let mut out = Html::default();
        year(&mut out, &Device { name: "pi".into(), days, ..Device::default() }, today);
        out.finish()
    }

    #[test]
    fn weeks_begin_on_monday() {
        assert_eq!((monday(TODAY), monday(TODAY + 1), iso(monday(TODAY))), (TODAY - 6, TODAY + 1, "2026-02-23".into()));
        assert_eq!((monday(0), monday(-4)), (-3, -10), "before 1970, too");
    }

    #[test]
    fn each_day_of_a_year_has_its_square() {
        let text = drawn(&[(TODAY, 3), (TODAY - 100, 1), (TODAY - 400, 9)], TODAY);
        assert_eq!(text.matches("<rect ").count(), 371, "53 weeks, the last one over");
        assert!(text.contains("sent 4 changes on 2 days within a year, 2.0 kB encrypted"), "{text}");
        assert!(text.contains("<title>2026-03-01: 3 changes, 1.0 kB</title>") && !text.contains("2025-01"), "{text}");
        assert_eq!(drawn(&[(TODAY, 1)], TODAY - 6 + 7).matches("<rect ").count(), 365, "a Monday");
        assert_eq!(drawn(&[], TODAY), "<p>sent nothing within a year</p>\n");
        assert_eq!(drawn(&[(TODAY + 5, 1)], TODAY), "<p>sent nothing within a year</p>\n", "a clock that is ahead");
    }
}
