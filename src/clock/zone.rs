//! The local time zone, by the C library: the one place that calls it.

#![allow(unsafe_code)] // localtime_r: no crate that is in use already knows the zone.

/// Local time less UTC at a point in time, in minutes; 0 if the system does not know.
pub fn offset_minutes(seconds: i64) -> i16 {
    #[allow(deprecated)] // libc warns that musl's time_t will widen; the cast is right for either width.
    let t = seconds as libc::time_t; // Where it has 32 bits, a time after 2038 shows a wrong season at worst.
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
