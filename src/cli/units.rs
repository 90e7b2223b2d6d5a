//! Numbers as people read and write them.

/// A number of multiply-accumulates to three digits.
pub(super) fn count(macs: u64) -> String {
    if macs >= 1_000_000 { format!("{:.2} M", macs as f64 / 1e6) } else { format!("{:.1} k", macs as f64 / 1e3) }
}

/// Bytes, from a number with `K`, `M` or `G` behind it for powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let factors = [('K', 10), ('M', 20), ('G', 30)];
    let factor = factors.into_iter().find(|(letter, _)| text.ends_with([*letter, letter.to_ascii_lowercase()]));
    let (number, shift) = factor.map_or((text, 0), |(_, shift)| (&text[..text.len() - 1], shift));
    let number: u64 = number.trim().parse().map_err(|_| "no number of bytes, such as 512M or 2G".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_read_with_their_unit() {
        for (text, expected) in [("0", 0), ("17", 17), ("3K", 3 << 10), ("512M", 512 << 20), ("2g", 2 << 30)] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "2T", "17179869184G", "1é"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
