use std::fs;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use proptest::prelude::*;
use tapeloom_seal::{Error, Key, Opener, Result, Sealer, Suite};

const SUITES: [(Suite, usize); 2] = [(Suite::ChaCha20Poly1305, 64 << 10), (Suite::Aes256Gcm, 16 << 10)];

fn key() -> Key {
    Key::from_bytes([7; 32])
}

fn plain(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 253) as u8).collect()
}

/// Sealed bytes and where their chunks begin.
fn sealed(suite: Suite, plain: &[u8]) -> Result<(Vec<u8>, usize)> {
    let chunk = if suite == Suite::Aes256Gcm { 16 << 10 } else { 64 << 10 };
    let sealed = Sealer::new(key()).suite(suite).seal("x", plain)?;
    let chunks = if suite == Suite::Aes256Gcm { plain.len() / chunk + 1 } else { plain.len().div_ceil(chunk).max(1) };
    let start = sealed.len() - plain.len() - 16 * chunks;
    Ok((sealed, start))
}

#[test]
fn chunks_cannot_be_swapped_doubled_or_cut() -> Result<()> {
    for (suite, chunk) in SUITES {
        let plain = plain(3 * chunk + 100);
        let (sealed, start) = sealed(suite, &plain)?;
        let open = |bytes: &[u8]| Opener::new(key()).open("x", bytes);
        assert!(open(&sealed)? == plain);
        let piece = chunk + 16;
        let mut swapped = sealed.clone();
        swapped[start..start + 2 * piece].rotate_left(piece);
        assert!(open(&swapped).is_err_and(|e| e.to_string().contains("chunk 0 was changed")));
        let doubled = [&sealed[..start + piece], &sealed[start..]].concat();
        assert!(open(&doubled).is_err_and(|e| e.to_string().contains("chunk 1 was changed")));
        // Cut at every border of a chunk, by every way to read.
        for whole in 0..=3 {
            let cut = &sealed[..start + whole * piece];
            let error = open(cut).expect_err("cut").to_string();
            assert!(error.contains("cut short") || error.contains("chunk 0"), "{error}");
            assert!(Opener::new(key()).reader("x", Cursor::new(cut)).is_err(), "{suite:?} {whole}");
        }
    }
    Ok(())
}

#[test]
fn every_length_cut_off_is_refused_by_both_ways_to_read() -> Result<()> {
    for (suite, chunk) in SUITES {
        let (sealed, start) = sealed(suite, &plain(chunk + 10))?;
        let near = (start.saturating_sub(3)..start + 40).chain(start + chunk - 3..sealed.len());
        for length in (0..start).step_by(7).chain(near) {
            let cut = &sealed[..length];
            assert!(matches!(Opener::new(key()).open("x", cut), Err(Error::Damaged { .. })), "{length}");
            assert!(matches!(Opener::new(key()).reader("x", Cursor::new(cut)), Err(Error::Damaged { .. })), "{length}");
        }
        let longer = [&sealed[..], b"x"].concat();
        assert!(Opener::new(key()).reader("x", Cursor::new(longer)).is_err());
    }
    Ok(())
}

#[test]
fn every_changed_byte_of_the_aes_suite_is_refused() -> Result<()> {
    let (sealed, _) = sealed(Suite::Aes256Gcm, b"seventeen letters")?;
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1 << (at % 8);
        let error = Opener::new(key()).open("x", &bad).expect_err("changed").to_string();
        assert!(error.starts_with("x ") && !error.chars().any(char::is_control), "{error:?}");
        assert!(Opener::new(key()).reader("x", Cursor::new(bad)).is_err(), "{at}");
    }
    Ok(())
}

#[test]
fn a_range_is_read_without_the_rest() -> Result<()> {
    for (suite, chunk) in SUITES {
        let plain = plain(5 * chunk + 77);
        let (mut sealed, start) = sealed(suite, &plain)?;
        // A damaged chunk hurts those alone who read it.
        sealed[start + 2 * (chunk + 16) + 5] ^= 1;
        let mut reader = Opener::new(key()).reader("x", Cursor::new(sealed))?;
        assert_eq!(reader.len(), plain.len() as u64);
        for (from, length) in [(0, 10), (chunk - 3, 6), (3 * chunk, 2 * chunk + 77), (plain.len(), 0)] {
            assert_eq!(reader.read_range(from as u64, length)?, plain[from..from + length]);
        }
        let error = reader.read_range(2 * chunk as u64 - 1, 2).expect_err("damaged").to_string();
        assert_eq!(error, "x is damaged: chunk 2 was changed");
        assert!(matches!(reader.read_range(plain.len() as u64, 1), Err(Error::Invalid { .. })));
        let mut tail = Vec::new();
        reader.seek(SeekFrom::End(-80)).and_then(|_| reader.read_to_end(&mut tail)).expect("read");
        assert_eq!(tail, plain[plain.len() - 80..]);
        reader.seek(SeekFrom::Start(0)).expect("sought");
        assert!(reader.read_to_end(&mut tail).is_err(), "a reader does not pass over damage");
    }
    Ok(())
}

#[test]
fn a_stream_of_any_pieces_is_the_same_file() -> Result<()> {
    for (suite, chunk) in SUITES {
        for len in [0, 1, chunk - 1, chunk, chunk + 1, 1 << 20, (1 << 20) + 1, (2 << 20) + chunk] {
            for step in [1 << 20, 77_777] {
                let plain = plain(len);
                let sealer = Sealer::new(key()).suite(suite).threads(2);
                let mut writer = sealer.writer("x", Vec::new())?;
                plain.chunks(step).try_for_each(|piece| writer.write_all(piece)).expect("in memory");
                let sealed = writer.finish().expect("in memory");
                assert!(Opener::new(key()).open("x", &sealed)? == plain, "{suite:?} {len} {step}");
                assert_eq!(sealed.len(), sealer.seal("x", &plain)?.len());
            }
        }
    }
    Ok(())
}

#[test]
fn a_stream_that_was_not_finished_does_not_open() -> Result<()> {
    for (suite, _) in SUITES {
        let mut sink = Vec::new();
        let mut writer = Sealer::new(key()).suite(suite).threads(1).writer("x", &mut sink)?;
        writer.write_all(&plain(3 << 20)).expect("in memory");
        drop(writer);
        assert!(sink.len() > 1 << 20);
        assert!(Opener::new(key()).open("x", &sink).is_err());
    }
    Ok(())
}

#[test]
fn a_sealed_file_appears_whole_or_not_at_all() -> Result<()> {
    struct Failing(usize);
    impl Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::Error::other("the source broke"));
            }
            self.0 -= 1;
            Ok(out.len())
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sub/weights.sealed");
    let sealer = Sealer::new(key());
    sealer.seal_file("x", &plain(200_000)[..], &path)?;
    let before = fs::read(&path).expect("read");
    assert!(Opener::new(key()).open("x", &before)? == plain(200_000));
    assert!(sealer.seal_file("x", Failing(9), &path).is_err());
    assert_eq!(fs::read(&path).expect("read"), before);
    assert_eq!(fs::read_dir(folder.path().join("sub")).expect("listed").count(), 1, "no temporary file is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
    let new = Key::generate()?;
    Opener::new(key()).rewrap_file("x", &path, &Sealer::new(new.clone()))?;
    let mut reader = Opener::new(new).reader("x", fs::File::open(&path).expect("opened"))?;
    assert_eq!(reader.read_range(199_990, 10)?, plain(200_000)[199_990..]);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn ranges_agree_with_the_whole(len in 0_usize..200_000, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), aes in any::<bool>()) {
        let suite = if aes { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
        let plain = plain(len);
        let (sealed, _) = sealed(suite, &plain).expect("sealed");
        let (a, b) = (a.index(len + 1), b.index(len + 1));
        let (from, to) = (a.min(b), a.max(b));
        let mut reader = Opener::new(key()).reader("x", Cursor::new(sealed)).expect("whole");
        prop_assert_eq!(&reader.read_range(from as u64, to - from).expect("in range")[..], &plain[from..to]);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let header = [&b"TLSEAL02"[..], &noise].concat();
        for bytes in [&noise, &header] {
            prop_assert!(Opener::new(key()).open("n", bytes).is_err());
            prop_assert!(Opener::new(key()).reader("n", Cursor::new(bytes)).is_err());
            prop_assert!(Opener::inspect("n", &bytes[..]).is_err());
        }
    }
}
