//! The calendar, the proleptic Gregorian one (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").

use super::{Clock, Time};

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// A date and a time of day, in whatever zone the seconds were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year; 0 is 1 BC.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
}

impl Date {
    /// Of so many seconds since 1970-01-01 00:00:00.
    pub fn of(seconds: i64) -> Date {
        let (year, month, day) = civil(seconds.div_euclid(DAY));
        let s = seconds.rem_euclid(DAY) as u32;
        Date { year, month, day, hour: s / 3600, minute: s / 60 % 60, second: s % 60 }
    }

    /// A point in time by a clock's zone.
    pub fn local(at: Time, clock: &impl Clock) -> Date {
        Date::of(at.s + i64::from(clock.offset_minutes(at)) * 60)
    }

    /// The inverse of [`Date::of`]. A day beyond its month's end counts on into the next one.
    pub fn seconds(&self) -> i64 {
        days(self.year, self.month.into(), self.day.into()) * DAY + i64::from(self.hour * 3600 + self.minute * 60 + self.second)
    }
}

/// Year, month, day of a day since 1970-01-01.
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let m = (if mp < 10 { mp + 3 } else { mp - 9 }) as u32;
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

/// The inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * m + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_both_ways() {
        for (day, (y, m, d)) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_513, (2026, 3, 1)),
            (-719_468, (0, 3, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(day), (y, m, d));
            assert_eq!(days(y, m.into(), d.into()), day, "{y}-{m}-{d}");
        }
        for day in (-800_000..3_000_000).step_by(13) {
            let (y, m, d) = civil(day);
            assert_eq!(days(y, m.into(), d.into()), day);
        }
        assert_eq!(days(2026, 2, 31), days(2026, 3, 3));
    }

    #[test]
    fn seconds_both_ways() {
        let date = Date { year: 2026, month: 3, day: 1, hour: 14, minute: 15, second: 12 };
        assert_eq!((Date::of(1_772_374_512), date.seconds()), (date, 1_772_374_512));
        let before = Date { year: 1969, month: 12, day: 31, hour: 23, minute: 59, second: 59 };
        assert_eq!((Date::of(-1), before.seconds()), (before, -1));
    }
}
