use crate::Date;

/// A list of codes of up to four letters and digits, some of which went out of use on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// Code and last day, by bucket.
    codes: Vec<(u32, i32)>,
    /// Where each bucket begins, and where the last one ends.
    starts: Vec<u16>,
}

/// A look-up in a list of thousands is one in a dozen.
const BUCKETS: usize = 256;

impl Codes {
    /// ISO 3166-1 alpha-2 countries.
    #[must_use]
    pub fn countries() -> Self {
        Self::parse(include_str!("../data/countries.txt"))
    }

    /// ISO 4217 currencies in use.
    #[must_use]
    pub fn currencies() -> Self {
        Self::parse(include_str!("../data/currencies.txt"))
    }

    /// ISO 10383 market identifiers as published on 8 October 2026, those out of use with their last day.
    #[must_use]
    pub fn mics() -> Self {
        Self::parse(include_str!("../data/mics.txt"))
    }

    /// One code on each line, and behind it, where it went out of use, the last day as `YYYYMMDD`.
    fn parse(text: &str) -> Self {
        let dated = text.lines().filter_map(|line| {
            let (code, until) = line.split_once(' ').unwrap_or((line, ""));
            let dashed = (until.len() == 8).then(|| format!("{}-{}-{}", &until[..4], &until[4..6], &until[6..]));
            let until = dashed.and_then(|date| crate::date::days(date.as_bytes()));
            Some((pack(code)?, until.unwrap_or(i32::MAX)))
        });
        Self::new(dated.collect())
    }

    fn new(mut codes: Vec<(u32, i32)>) -> Self {
        codes.sort_unstable_by_key(|(code, until)| (bucket(*code), *code, *until));
        codes.dedup_by_key(|(code, _)| *code);
        // No list of four-letter codes in use comes near this.
        codes.truncate(usize::from(u16::MAX));
        let mut starts = vec![0; BUCKETS + 1];
        codes.iter().for_each(|(code, _)| starts[bucket(*code) + 1] += 1);
        (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        Self { codes, starts }
    }

    /// Whether the code is in the list, whenever it was in use.
    #[must_use]
    pub fn contains(&self, code: &str) -> bool {
        self.until(code).is_some()
    }

    /// Whether the code was in use on a day.
    #[must_use]
    pub fn contains_on(&self, code: &str, day: Date) -> bool {
        self.contains_at(code, day.days())
    }

    /// As [`Codes::contains_on`], by days since 1970.
    pub(crate) fn contains_at(&self, code: &str, day: i32) -> bool {
        self.until(code).is_some_and(|until| day <= until)
    }

    fn until(&self, code: &str) -> Option<i32> {
        let packed = pack(code)?;
        let at = bucket(packed);
        let bucket = &self.codes[usize::from(self.starts[at])..usize::from(self.starts[at + 1])];
        bucket.iter().find(|(code, _)| *code == packed).map(|(_, until)| *until)
    }
}

impl Default for Codes {
    /// An empty list.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<T: AsRef<str>> FromIterator<T> for Codes {
    /// Codes of another length than 1 to 4 are left out: nothing could ask for them.
    fn from_iter<I: IntoIterator<Item = T>>(codes: I) -> Self {
        Self::new(codes.into_iter().filter_map(|code| Some((pack(code.as_ref())?, i32::MAX))).collect())
    }
}

/// Spreads codes that differ in any letter.
const fn bucket(code: u32) -> usize {
    (code.wrapping_mul(0x9E37_79B1) >> 24) as usize
}

fn pack(code: &str) -> Option<u32> {
    let mut bytes = [0; 4];
    bytes.get_mut(..code.len()).filter(|_| !code.is_empty())?.copy_from_slice(code.as_bytes());
    Some(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendored_lists_hold_what_they_should() {
        let (countries, currencies, mics) = (Codes::countries(), Codes::currencies(), Codes::mics());
        assert_eq!((countries.codes.len(), currencies.codes.len(), mics.codes.len()), (249, 178, 2889));
        for (codes, good, bad) in [(&countries, "DE", "XX"), (&currencies, "EUR", "DEM"), (&mics, "XETR", "XXXY")] {
            assert!(codes.contains(good) && !codes.contains(bad) && !codes.contains("") && !codes.contains("EUROS"));
        }
        let ended = mics.codes.iter().filter(|(_, until)| *until < i32::MAX).count();
        assert_eq!(ended, 574);
        assert!(mics.contains_on("XETR", "2018-06-25".parse().expect("a date")));
    }
}
