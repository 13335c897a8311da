use serde::{Deserialize, Serialize};

/// Who has a clock: Tables 1 and 2 of the Annex of Delegated Regulation (EU) 2017/574, text of 31 March 2017.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClockRule {
    /// A venue whose gateway-to-gateway latency is over one millisecond.
    Venue,
    /// A venue whose gateway-to-gateway latency is one millisecond or less.
    FastVenue,
    /// A member or participant that uses a high-frequency technique.
    HighFrequency,
    /// Voice trading, requests for quote that a person answers, negotiated transactions.
    Human,
    /// Any other activity of a member or participant.
    Other,
}

/// What a rule asks of a clock, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Accuracy {
    /// How far it may be from UTC.
    pub most_divergence_us: u64,
    /// How fine its stamps have to be.
    pub granularity_us: u64,
}

/// What was found of a clock. Each part holds, does not hold, or was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClockCheck {
    /// What the rule asks for.
    pub asked: Accuracy,
    /// Whether stamps are as fine as asked; none where too few stamps were given to tell.
    pub granularity: Option<bool>,
    /// Whether the clock is as near to UTC as asked; none where nothing measured it.
    pub divergence: Option<bool>,
}

impl ClockRule {
    /// What this rule asks for.
    #[must_use]
    pub const fn accuracy(self) -> Accuracy {
        let (most_divergence_us, granularity_us) = match self {
            Self::FastVenue | Self::HighFrequency => (100, 1),
            Self::Venue | Self::Other => (1_000, 1_000),
            Self::Human => (1_000_000, 1_000_000),
        };
        Accuracy { most_divergence_us, granularity_us }
    }

    /// Looks at a sample of stamps, in microseconds, and at how far from UTC the clock is at most by whoever measures it, such
    /// as the root distance of a time server's client.
    ///
    /// A coarse clock shows by stamps that are all multiples of something coarser. Fewer than 32 stamps prove nothing: ten of a
    /// fine clock end in a zero by chance once in ten thousand million times, three once in a thousand.
    #[must_use]
    pub fn check(self, stamps_us: &[i64], most_divergence_us: Option<u64>) -> ClockCheck {
        const ENOUGH: usize = 32;
        let asked = self.accuracy();
        let coarser = i64::try_from(asked.granularity_us * 10).unwrap_or(i64::MAX);
        let granularity = (stamps_us.len() >= ENOUGH).then(|| stamps_us.iter().any(|stamp| stamp % coarser != 0));
        let divergence = most_divergence_us.map(|found| found <= asked.most_divergence_us);
        ClockCheck { asked, granularity, divergence }
    }

    /// Whether a stamp is written with the digits that the rule asks for. Zeros are no digits of a finer clock, but one stamp
    /// can end in zeros by chance, so that only their number counts here.
    pub(crate) fn is_fine_enough(self, stamp: &str) -> bool {
        let digits =
            stamp.split_once('.').map_or(0, |(_, behind)| behind.bytes().take_while(u8::is_ascii_digit).count());
        let needed = match self.accuracy().granularity_us {
            1 => 6,
            1_000 => 3,
            _ => 0,
        };
        digits >= needed
    }
}

/// Whether a number of messages is that of a high-frequency technique: at least two a second on one instrument, or four on
/// all of a venue, on average (Delegated Regulation (EU) 2017/565 art. 19(1)).
#[must_use]
pub fn is_high_message_rate(per_second_on_one_instrument: f64, per_second_on_venue: f64) -> bool {
    per_second_on_one_instrument >= 2.0 || per_second_on_venue >= 4.0
}
