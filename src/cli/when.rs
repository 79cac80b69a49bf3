//! Times as people say them: `yesterday`, `2 hours ago`, `12 Feb 18:40`, `2026-03-01 14:05`, ISO 8601.

use super::voice::MONTHS;
use crate::clock::date::{DAY, Date};
use crate::clock::{Clock, Time};

/// The last second that a text means, in UTC: a day means its end, a minute its last second. `None` if it is no time.
pub fn parse(text: &str, clock: &impl Clock) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let now = clock.now();
    let local = Date::local(now, clock);
    match words[..] {
        ["now" | "today"] => Some(now.s),
        [n, unit, "ago"] => ago(n, unit, now.s),
        [span, "ago"] => {
            let digits = span.bytes().take_while(u8::is_ascii_digit).count();
            ago(&span[..digits], &span[digits..], now.s)
        }
        ["today", time] => at(local, time, clock),
        ["yesterday"] => at(yesterday(local), "23:59", clock),
        ["yesterday", time] => at(yesterday(local), time, clock),
        // As `log` shows them.
        [day, month, rest] => {
            let day: u32 = number(day).filter(|d| (1..=31).contains(d))?;
            let month = 1 + MONTHS.iter().position(|m| month.starts_with(&m.to_ascii_lowercase()))? as u32;
            let date = Date { day, month, ..local };
            if rest.contains(':') {
                // Without a year it is the last one that has passed.
                let this = at(date, rest, clock)?;
                return if this > now.s + DAY { at(Date { year: local.year - 1, ..date }, rest, clock) } else { Some(this) };
            }
            at(Date { year: number(rest).filter(|y| (1970..=9999).contains(y))?.into(), ..date }, "23:59", clock)
        }
        [date] => match date.split_once('t') {
            Some((date, time)) => iso(date, time, clock),
            None => iso(date, "23:59", clock),
        },
        [date, time] => iso(date, time, clock),
        _ => None,
    }
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.len() < 6 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn yesterday(d: Date) -> Date {
    Date::of(d.seconds() - DAY)
}

fn ago(n: &str, unit: &str, now: i64) -> Option<i64> {
    let n = match n {
        "a" | "an" => 1,
        n => i64::from(number(n)?),
    };
    let unit = match unit {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        "month" | "months" => 30 * DAY,
        "y" | "year" | "years" => 365 * DAY,
        _ => return None,
    };
    Some(now - n * unit)
}

/// `YYYY-MM-DD` and a time, perhaps with a zone.
fn iso(date: &str, time: &str, clock: &impl Clock) -> Option<i64> {
    let parts: Vec<u32> = date.split('-').map(number).collect::<Option<_>>()?;
    let [year, month, day] = parts[..] else { return None };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    at(Date { year: year.into(), month, day, hour: 0, minute: 0, second: 0 }, time, clock)
}

/// A day at `HH:MM` or `HH:MM:SS`, with `Z` or `+HH:MM` behind it in that zone, else in the clock's.
fn at(day: Date, time: &str, clock: &impl Clock) -> Option<i64> {
    let (time, zone) = match time.find(['z', '+', '-']) {
        Some(i) => (&time[..i], Some(east(&time[i..])?)),
        None => (time, None),
    };
    let (hour, rest) = time.split_once(':')?;
    let (minute, second) = match rest.split_once(':') {
        Some((minute, second)) => (minute, number(second.split_once('.').map_or(second, |(s, _)| s)).filter(|s| *s < 60)?),
        None => (rest, 59),
    };
    let (hour, minute) = (number(hour).filter(|h| *h < 24)?, number(minute).filter(|m| *m < 60 && minute.len() == 2)?);
    let s = Date { hour, minute, second, ..day }.seconds();
    let zone = zone.unwrap_or_else(|| i64::from(clock.offset_minutes(Time { s, ns: 0 })));
    Some(s - zone * 60)
}

/// Minutes east of Greenwich: `z`, `+05:30`, `-0800`, `+02`.
fn east(zone: &str) -> Option<i64> {
    if zone == "z" {
        return Some(0);
    }
    let digits: String = zone.get(1..)?.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits)?, 0),
        4 => (number(digits.get(..2)?)?, number(digits.get(2..)?)?),
        _ => return None,
    };
    let minutes = (hours < 24 && minutes < 60).then_some(i64::from(hours * 60 + minutes))?;
    match zone.as_bytes().first() {
        Some(b'+') => Some(minutes),
        Some(b'-') => Some(-minutes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01 14:15:12 UTC, two hours east of it.
    struct There;

    impl Clock for There {
        fn now(&self) -> Time {
            Time { s: 1_772_374_512, ns: 0 }
        }

        fn offset_minutes(&self, _: Time) -> i16 {
            120
        }

        fn wait(&self, _: u64) {}
    }

    #[test]
    fn as_people_say_them() {
        let now = There.now().s;
        let shown = |text: &str| parse(text, &There).map(|s| super::super::voice::iso(Time { s, ns: 0 }));
        for (text, want) in [
            ("2026-03-01", "2026-03-01T21:59:59Z"),
            ("2026-03-01 14:05", "2026-03-01T12:05:59Z"),
            ("2026-03-01T14:05:07", "2026-03-01T12:05:07Z"),
            ("2026-03-01T14:05:07Z", "2026-03-01T14:05:07Z"),
            ("2026-03-01T14:05:07.25+05:30", "2026-03-01T08:35:07Z"),
            ("2026-03-01T14:05:07-0800", "2026-03-01T22:05:07Z"),
            ("yesterday", "2026-02-28T21:59:59Z"),
            ("yesterday 09:12", "2026-02-28T07:12:59Z"),
            ("Today 14:02", "2026-03-01T12:02:59Z"),
            ("12 Feb 18:40", "2026-02-12T16:40:59Z"),
            ("24 December 18:40", "2025-12-24T16:40:59Z"),
            ("12 Feb 2024", "2024-02-12T21:59:59Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(want), "{text}");
        }
        for (text, before) in
            [("now", 0), ("2 hours ago", 7200), ("an hour ago", 3600), ("90s ago", 90), ("3 days ago", 3 * DAY), ("2w ago", 14 * DAY)]
        {
            assert_eq!(parse(text, &There), Some(now - before), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for no in ["2026-03", "2026-13-01", "2026-00-01", "2026-03-32", "1969-12-31", "10000-01-01", "2026-03-01 1405", "2026-03-01 24:00"]
        {
            assert_eq!(parse(no, &There), None, "{no}");
        }
        for no in
            ["2026-03-01 12:60", "2026-03-01 12:5", "2026-03-01 -1:00", "2026-03-01 9999999999999999:00", "abcdef", "", "ago", "x ago"]
        {
            assert_eq!(parse(no, &There), None, "{no}");
        }
        for no in ["2 ago", "99999999999 days ago", "2 moons ago", "32 Feb 18:40", "12 Foo 18:40", "1 2 3 4", "2026-03-01T14:05\u{fc}"] {
            assert_eq!(parse(no, &There), None, "{no}");
        }
        for no in ["2026-03-01 14:05+\u{fc}\u{fc}", "\u{fc} ago", "2026-03-01 14:05+9", "2026-03-01 14:05zz"] {
            assert_eq!(parse(no, &There), None, "{no}");
        }
    }
}
