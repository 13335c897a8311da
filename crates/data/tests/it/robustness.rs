use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;
use tapeloom_data::{CsvSource, Pipeline, PipelineConfig};

use crate::support::{Sheet, wave};

/// Bytes that are often close to a CSV of bars.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let cell = prop_oneof![
        Just("1970-01-02".to_owned()),
        Just("-0".into()),
        Just("NaN".into()),
        Just("1e999".into()),
        Just(String::new()),
        Just("\"".into()),
        Just("\"a,b\"".into()),
        Just("\u{feff}".into()),
        ".{0,6}".prop_map(|s| s)
    ];
    let line = proptest::collection::vec(cell, 0..5).prop_map(|cells| cells.join(","));
    let like = proptest::collection::vec(line, 0..6).prop_map(|lines| format!("Date,Close\n{}", lines.join("\n")));
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), like.prop_map(String::into_bytes)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in text(), date_format in "[%a-zA-Z:. -]{0,8}") {
        let sheet = Sheet::new("x.csv", &bytes).expect("a file");
        let outcomes = [
            sheet.bars().read(),
            sheet.bars().adjusted().date_format(&date_format).read(),
            CsvSource::panel(sheet.path()).read(),
        ];
        for bars in outcomes.into_iter().flatten() {
            prop_assert_eq!(bars.0.num_columns(), 9);
        }
    }

    #[test]
    fn no_damage_makes_the_unpacker_panic(at in 0_usize..200, byte: u8) {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(b"Date,Close\n1970-01-02,1\n1970-01-03,2\n").expect("packed");
        let mut bytes = packed.finish().expect("packed");
        let at = at % bytes.len();
        bytes[at] ^= byte;
        let sheet = Sheet::new("x.csv", &bytes).expect("a file");
        let _either_is_fine = sheet.bars().read();
    }
}

#[test]
fn prices_of_any_size_end_in_a_frame_or_an_error() {
    for scale in [1e-300, 1e-30, 1.0, 1e30, 1e300] {
        let closes: String =
            (1..).zip(wave(120, 0.0)).map(|(i, c)| format!("{}-01-01,{:e}\n", 1800 + i, c * scale)).collect();
        let sheet = Sheet::new("x.csv", format!("Date,Close\n{closes}")).expect("a file");
        let pipeline =
            Pipeline::new(PipelineConfig { window_steps: 5, ..PipelineConfig::daily() }).expect("a pipeline");
        let frame = pipeline.csv(sheet.bars()).run_blocking().expect("returns do not depend on the scale");
        assert!(frame.segments()[0].features.iter().all(|x| x.is_finite()));
    }
}
