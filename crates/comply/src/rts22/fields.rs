//! The 65 fields of a transaction report: Annex I, Table 2 of Delegated Regulation (EU) 2017/590, text of 31 March 2017.

use crate::format::Format::{
    self, Alphanum, Cfi, Code, Country, Currency, Date, DateTime, Isin, Lei, Mic, NationalId, Term,
};

/// When a field has to be there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presence {
    Always,
    /// Under a condition that a report alone does not show; reads on from "needed".
    If(&'static str),
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u8,
    pub(super) formats: &'static [Format],
    pub(super) presence: Presence,
    pub(super) is_repeatable: bool,
}

const BOOLEAN: Format = Code(&["true", "false"]);
const OTC: Format =
    Code(&["BENC", "ACTX", "LRGS", "ILQD", "SIZE", "CANC", "AMND", "SDIV", "RPRI", "DUPL", "TNCP", "TPAC", "XFPH"]);
/// Of fields 42 to 56.
const UNLISTED: &str = "when the instrument is traded off venue and is not on the authority's list";

const fn decimal(digits: usize, fraction: usize) -> Format {
    Format::Decimal { digits, fraction }
}

const fn always(number: u8, formats: &'static [Format]) -> Field {
    Field { number, formats, presence: Presence::Always, is_repeatable: false }
}

const fn when(number: u8, condition: &'static str, formats: &'static [Format]) -> Field {
    Field { number, formats, presence: Presence::If(condition), is_repeatable: false }
}

/// A joint account has several holders, a basket several instruments, a trade several indicators.
const fn repeatable(field: Field) -> Field {
    Field { is_repeatable: true, ..field }
}

pub(super) const FIELDS: [Field; 65] = [
    always(1, &[Code(&["NEWT", "CANC"])]),
    always(2, &[Alphanum(52)]),
    when(3, "on the market side of a trade on a venue", &[Alphanum(52)]),
    always(4, &[Lei]),
    always(5, &[BOOLEAN]),
    always(6, &[Lei]),
    repeatable(always(7, &[Lei, Mic, NationalId, Code(&["INTC"])])),
    repeatable(when(8, "when the buyer is a client", &[Country])),
    repeatable(when(9, "when the buyer is a natural person", &[Alphanum(140)])),
    repeatable(when(10, "when the buyer is a natural person", &[Alphanum(140)])),
    repeatable(when(11, "when the buyer is a natural person", &[Date])),
    repeatable(when(12, "when somebody else decides for the buyer", &[Lei, NationalId])),
    repeatable(when(13, "when a natural person decides for the buyer", &[Alphanum(140)])),
    repeatable(when(14, "when a natural person decides for the buyer", &[Alphanum(140)])),
    repeatable(when(15, "when a natural person decides for the buyer", &[Date])),
    repeatable(always(16, &[Lei, Mic, NationalId, Code(&["INTC"])])),
    repeatable(when(17, "when the seller is a client", &[Country])),
    repeatable(when(18, "when the seller is a natural person", &[Alphanum(140)])),
    repeatable(when(19, "when the seller is a natural person", &[Alphanum(140)])),
    repeatable(when(20, "when the seller is a natural person", &[Date])),
    repeatable(when(21, "when somebody else decides for the seller", &[Lei, NationalId])),
    repeatable(when(22, "when a natural person decides for the seller", &[Alphanum(140)])),
    repeatable(when(23, "when a natural person decides for the seller", &[Alphanum(140)])),
    repeatable(when(24, "when a natural person decides for the seller", &[Date])),
    always(25, &[BOOLEAN]),
    when(26, "when the buyer's order was transmitted under art. 4", &[Lei]),
    when(27, "when the seller's order was transmitted under art. 4", &[Lei]),
    always(28, &[DateTime]),
    always(29, &[Code(&["DEAL", "MTCH", "AOTC"])]),
    always(30, &[decimal(18, 17), decimal(18, 5)]),
    when(31, "when the quantity is a nominal or monetary value", &[Currency]),
    when(32, "when the notional of a derivative changes", &[Code(&["INCR", "DECR"])]),
    always(33, &[decimal(18, 13), decimal(11, 10), decimal(18, 17), Code(&["PNDG", "NOAP"])]),
    when(34, "when the price is a monetary value", &[Currency]),
    when(35, "for debt instruments", &[decimal(18, 5)]),
    always(36, &[Mic]),
    when(37, "on the market side of a trade", &[Country]),
    when(38, "when there is an up-front payment", &[decimal(18, 5)]),
    when(39, "when there is an up-front payment", &[Currency]),
    when(40, "for a part of a complex trade", &[Alphanum(35)]),
    when(41, "when the instrument has such a code", &[Isin]),
    when(42, UNLISTED, &[Alphanum(350)]),
    when(43, UNLISTED, &[Cfi]),
    when(44, UNLISTED, &[Currency]),
    when(45, UNLISTED, &[Currency]),
    when(46, UNLISTED, &[decimal(18, 17)]),
    repeatable(when(47, UNLISTED, &[Isin])),
    when(48, UNLISTED, &[Alphanum(25)]),
    when(49, UNLISTED, &[Term]),
    when(50, UNLISTED, &[Code(&["PUTO", "CALL", "OTHR"])]),
    when(51, UNLISTED, &[decimal(18, 13), decimal(11, 10), decimal(18, 17), Code(&["PNDG"])]),
    when(52, UNLISTED, &[Currency]),
    when(53, UNLISTED, &[Code(&["EURO", "AMER", "ASIA", "BERM", "OTHR"])]),
    when(54, UNLISTED, &[Date]),
    when(55, UNLISTED, &[Date]),
    when(56, UNLISTED, &[Code(&["PHYS", "CASH", "OPTL"])]),
    when(57, "when the firm decides the investment", &[NationalId, Alphanum(50)]),
    when(58, "when a person of the firm decides the investment", &[Country]),
    always(59, &[NationalId, Alphanum(50)]),
    when(60, "when a person of the firm is responsible for the execution", &[Country]),
    repeatable(when(
        61,
        "on the market side of a trade under a waiver",
        &[Code(&["RFPT", "NLIQ", "OILQ", "PRIC", "SIZE", "ILQD"])],
    )),
    when(
        62,
        "when the instrument falls under Regulation (EU) 236/2012 and the firm or a client sells",
        &[Code(&["SESH", "SSEX", "SELL", "UNDI"])],
    ),
    repeatable(when(63, "for the types of transaction that the field names", &[OTC])),
    when(64, "for commodity derivatives", &[BOOLEAN]),
    always(65, &[BOOLEAN]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_at_their_numbers() {
        assert!(FIELDS.iter().zip(1..).all(|(field, number)| field.number == number && !field.formats.is_empty()));
    }
}
