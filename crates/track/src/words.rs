//! Numbers and text of events as a person reads them.

/// Five significant digits or so; small and large numbers in scientific notation.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() || value == 0.0 => value.to_string(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.3e}"),
        size if size < 10.0 => format!("{value:.5}"),
        size if size < 1000.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

/// `850`, `12.3k`, `4.56M`.
pub(crate) fn short(value: f64) -> String {
    match value {
        v if v >= 999_500.0 => format!("{:.2}M", v / 1e6),
        v if v >= 10_000.0 => format!("{:.1}k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.42s`, `12.3s`, `4m10s`, `2h05m`, `3d04h`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 1.0 => format!("{seconds:.2}s"),
        _ if seconds < 59.95 => format!("{seconds:.1}s"),
        0..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole / 3600 % 24),
    }
}

/// One line that can't steer a terminal: control characters and direction marks become spaces.
pub(crate) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_at_any_size() {
        let shown = [0.0, 0.0003, 0.43121, -12.34567, 1234.56, 2.5e9, f64::NAN].map(number);
        assert_eq!(shown, ["0", "3.000e-4", "0.43121", "-12.346", "1234.6", "2.500e9", "NaN"]);
        assert_eq!([3.25, 850.4, 12_345.0, 4_560_000.0].map(short), ["3.2", "850", "12.3k", "4.56M"]);
        assert_eq!([7, 999, 1000, 1_234_567].map(count), ["7", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn durations_never_show_sixty_seconds() {
        let shown = [0.423, 12.34, 59.97, 250.0, 7_510.0, 273_600.0, f64::INFINITY, -1.0].map(duration);
        assert_eq!(shown, ["0.42s", "12.3s", "1m00s", "4m10s", "2h05m", "3d04h", "?", "?"]);
    }

    #[test]
    fn text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\u{202e}d"), "a [2Jb  c d");
    }
}
