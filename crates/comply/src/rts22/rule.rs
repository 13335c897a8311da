//! The kinds of rules. With a field each is one rule; what came of them is kept as sets of fields, one set for each kind.

macro_rules! rules {
    ($($kind:ident $name:literal $remedy:literal;)*) => {
        /// What is asked of a field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Rule { $($kind),* }

        impl Rule {
            pub(super) const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Ends the rule's id.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// What to do when it fails.
            pub(super) const fn remedy(self) -> &'static str {
                match self { $(Self::$kind => $remedy),* }
            }
        }
    };
}

rules! {
    Present "present" "fill the field";
    Absent "absent" "leave the field out";
    Single "single" "give one value";
    Format "format" "write the value as Annex I, Table 1 says";
    LeiChecksum "lei_checksum" "look the identifier up: a digit is wrong";
    IsinCheckDigit "isin_check_digit" "look the identifier up: a digit is wrong";
    CountryKnown "country_known" "use an ISO 3166-1 alpha-2 code";
    CurrencyKnown "currency_known" "use an ISO 4217 code";
    MicKnown "mic_known" "use an ISO 10383 code that was in use on the day, XOFF or XXXX";
    CfiKnown "cfi_known" "use a category and group of ISO 10962";
    PersonKnown "person_identifier" "use the identifier of highest priority that Annex II gives the nationality";
    Concat "concat" "write birth date, five letters of the first name, five of the surname, filled with #";
    ConcatBirth "concat_birth_date" "make CONCAT and birth date agree";
    ConcatNames "concat_names" "make CONCAT and names agree";
    NotFuture "not_in_future" "correct the time: the trade lies in the future";
    BeforeTrade "before_trade" "correct the date: the person was born after the trade";
    NotBeforeTrade "not_before_trade" "correct the date: the instrument had ended before the trade";
    Positive "positive" "give a number over zero";
    With30 "with_30" "fill field 30 too, or leave this one out";
    With33 "with_33" "fill field 33 too, or leave this one out";
    With38 "with_38" "give the up-front payment and its currency together";
    With48 "with_48" "fill field 48 too, or leave this one out";
    With51 "with_51" "fill field 51 too, or leave this one out";
    With57 "with_57" "fill field 57 too, or leave this one out";
    With59 "with_59" "fill field 59 too, or leave this one out";
    PersonHasCountry "for_person_only" "leave the country out: an algorithm has none";
    Party "firm_is_party" "with DEAL the executing firm is buyer or seller";
    NoParty "firm_is_no_party" "with MTCH and AOTC the executing firm is neither buyer nor seller: use DEAL";
    Identified "instrument_identified" "give the ISIN, or name and classification";
    Unique "unique" "use a reference that was not used before";
    CancelsKnown "cancels_known_report" "cancel a report that was sent";
    LeiStatus "lei_status" "the entity has to renew its identifier";
    Granularity "granularity" "write as many digits as the clock rule asks for, not zeros";
    InTime "reported_in_time" "report by the close of the next working day";
    InReferenceData "in_reference_data" "look the instrument up: the authority's data does not hold it";
    ValidOnDay "valid_on_trading_date" "look the instrument up: it was not traded on that day";
}

/// Sets of fields by kind of rule.
type Sets = [u128; Rule::ALL.len()];

/// What came of all rules for one report. Without a value of the report, and without text: see [`Rts22::explain`].
///
/// [`Rts22::explain`]: super::Rts22::explain
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    passed: Sets,
    failed: Sets,
    skipped: Sets,
}

impl Outcome {
    pub(super) const fn new() -> Self {
        Self { passed: [0; Rule::ALL.len()], failed: [0; Rule::ALL.len()], skipped: [0; Rule::ALL.len()] }
    }

    /// Whether no rule failed. It speaks of the rules that were evaluated, and of no other.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.failed.iter().all(|fields| *fields == 0)
    }

    /// How many rules passed, failed, and were not checked.
    #[must_use]
    pub fn counts(&self) -> (u32, u32, u32) {
        let count = |sets: &Sets| sets.iter().map(|fields| fields.count_ones()).sum();
        let passed: u32 =
            self.passed.iter().zip(&self.failed).map(|(passed, failed)| (passed & !failed).count_ones()).sum();
        (passed, count(&self.failed), count(&self.skipped))
    }

    pub(super) const fn pass(&mut self, rule: Rule, field: u8) {
        self.passed[rule as usize] |= 1 << field;
    }

    pub(super) const fn fail(&mut self, rule: Rule, field: u8) {
        self.failed[rule as usize] |= 1 << field;
    }

    pub(super) const fn skip(&mut self, rule: Rule, field: u8) {
        self.skipped[rule as usize] |= 1 << field;
    }

    pub(super) const fn hold(&mut self, rule: Rule, field: u8, is_kept: bool) {
        if is_kept { self.pass(rule, field) } else { self.fail(rule, field) }
    }

    /// Rules that passed for every value, that failed, and that were not checked, by field and kind.
    pub(super) fn sorted(&self) -> [Vec<(u8, Rule)>; 3] {
        let passed: Vec<u128> = self.passed.iter().zip(&self.failed).map(|(passed, failed)| passed & !failed).collect();
        [&passed[..], &self.failed, &self.skipped].map(|sets| {
            let of_kind = |rule: &Rule| {
                let fields = sets[*rule as usize];
                (0..128)
                    .filter(move |field| fields >> field & 1 == 1)
                    .map(|field| (field as u8, *rule))
                    .collect::<Vec<_>>()
            };
            let mut all: Vec<(u8, Rule)> = Rule::ALL.iter().flat_map(of_kind).collect();
            all.sort_by_key(|(field, rule)| (*field, rule.name()));
            all
        })
    }
}
