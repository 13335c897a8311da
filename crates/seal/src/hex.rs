//! Lower-case hex, so that one value has one spelling.

pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    // Of its final size from the start: a string that grows leaves copies of a key behind.
    let mut text = String::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(byte & 15)]));
    text
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_one_spelling() {
        assert_eq!(encode(&[0, 0x9f, 0xa0]), "009fa0");
        assert_eq!(decode("009fa0"), Some(vec![0, 0x9f, 0xa0]));
        assert_eq!(decode(""), Some(vec![]));
        for bad in ["0", "0g", "0A", " 00", "é"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
