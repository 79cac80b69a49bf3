//! The local time zone, by the C library: the one place that calls it.

#![allow(unsafe_code)] // localtime_r: no crate that is in use already knows the zone.

use super::date::{DAY, Date};

/// Local time less UTC at a point in time, in minutes; 0 if the system does not know.
pub fn offset_minutes(seconds: i64) -> i16 {
    #[allow(deprecated)] // libc warns that musl's time_t will widen; this is right for either width.
    type Seconds = libc::time_t;
    // What Rust calls on 32-bit musl takes 32 bits, until 2038.
    let fits = size_of::<Seconds>() == size_of::<i64>() || i32::try_from(seconds).is_ok();
    let t = (if fits { seconds } else { alike(seconds) }) as Seconds;
    // SAFETY: `tm` is plain data for which zeros are valid; localtime_r writes only through the pointer it is given,
    // which is valid for the call, and keeps neither.
    let offset = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&t, &mut tm).is_null() {
            return 0;
        }
        tm.tm_gmtoff
    };
    i16::try_from(offset / 60).unwrap_or(0).clamp(-1440, 1440)
}

/// The same day and hour of a year from 2010 to 2037 that has the same days of the week: by the rules that hold now,
/// summer time begins and ends there at the same moments. What is before 2038 stays, as far back as 32 bits go.
fn alike(seconds: i64) -> i64 {
    let seconds = seconds.clamp(-(1 << 40), 1 << 40);
    let begin = |year| Date { year, month: 1, day: 1, hour: 0, minute: 0, second: 0 }.seconds();
    // How far a year is from a Monday, and whether it is a leap year.
    let kind = |year: i64| ((begin(year) / DAY).rem_euclid(7), begin(year + 1) - begin(year));
    let year = Date::of(seconds).year;
    if year < 2038 {
        return seconds.max(i32::MIN.into());
    }
    // All fourteen kinds are among any 28 years without a skipped leap year.
    let twin = (2010..2038).find(|y| kind(*y) == kind(year)).unwrap_or(2010);
    seconds - begin(year) + begin(twin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i64, month: u32, day: u32) -> i64 {
        Date { year, month, day, hour: 1, minute: 2, second: 3 }.seconds()
    }

    #[test]
    fn a_year_that_is_like_another() {
        for (year, twin) in [(2010, 2010), (2037, 2037), (2038, 2010), (2040, 2012), (2096, 2012), (2099, 2015), (2100, 2010), (2107, 2011)]
        {
            for (month, day) in [(1, 1), (2, 28), (3, 1), (7, 4), (12, 31)] {
                let (there, here) = (at(year, month, day), at(twin, month, day));
                assert_eq!(alike(there), here, "{year}-{month}-{day}");
                assert_eq!((there / DAY - here / DAY) % 7, 0, "the same day of the week");
            }
        }
        for s in [i64::from(i32::MAX) + 1, u32::MAX.into(), i64::from(u32::MAX) + 1, 1 << 40] {
            assert!(i32::try_from(alike(s)).is_ok(), "{s}");
        }
        assert_eq!((alike(at(1970, 1, 1)), alike(-(1 << 40))), (at(1970, 1, 1), i32::MIN.into()));
    }

    #[test]
    fn any_time_has_an_offset() {
        for s in
            [0, -1, i32::MIN.into(), i32::MAX.into(), i64::from(i32::MAX) + 1, u32::MAX.into(), 1 << 40, -(1 << 40), i64::MAX, i64::MIN]
        {
            let zone = offset_minutes(s);
            assert!((-1440..=1440).contains(&zone), "{s}: {zone}");
        }
        // A July is like any other July by today's rules; in 32 bits it would be a day of 1904 or of 1968.
        assert_eq!(offset_minutes(at(2040, 7, 1)), offset_minutes(at(2012, 7, 1)));
        assert_eq!(offset_minutes(at(2104, 7, 1)), offset_minutes(alike(at(2104, 7, 1))));
    }
}
