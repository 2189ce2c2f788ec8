//! `drm-pack key-url`: signs in and prints a ticketed URL, and nothing else, on standard output.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::Result;
use crate::keys::DrmToday;

use super::args::KeyUrlArgs;
use super::keys::{account, http_client};
use super::output::{json, line};

pub(super) fn run(args: &KeyUrlArgs) -> Result<()> {
    let server = DrmToday::new(account(&args.account)?)?;
    let url = server.ticketed_url(&http_client(&args.http)?, args.asset.as_deref())?;
    if args.json {
        let service = server.service_url(args.asset.as_deref())?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        json(&serde_json::json!({"url": url, "service": service, "fetched_at": rfc3339(seconds)}))
    } else {
        line(&url)
    }
}

/// Seconds since 1970 as RFC 3339 in UTC: the day count is turned into a date of the Gregorian calendar, by
/// years that begin in March.
fn rfc3339(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_348_799), "2026-11-22T11:59:59Z");
    }
}
