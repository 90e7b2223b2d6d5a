//! Small numbers as Parquet files have them: runs of one number, and numbers of some bits side by side.

/// Most bits of a number.
const MAX_WIDTH: u32 = 32;

/// Numbers of some bits each. They end where the bytes do, and where these are damaged.
pub(super) struct Hybrid<'a> {
    bytes: &'a [u8],
    width: u32,
    run: Run<'a>,
}

/// What is left of a run.
enum Run<'a> {
    Same {
        left: u64,
        value: u64,
    },
    /// So many numbers, the next of which begins at this bit.
    Packed {
        left: u64,
        bytes: &'a [u8],
        bit: usize,
    },
}

impl<'a> Hybrid<'a> {
    /// Numbers of `width` bits, 32 at most.
    pub(super) fn new(bytes: &'a [u8], width: u32) -> Self {
        let bytes = if width > MAX_WIDTH { &[] } else { bytes };
        Self { bytes, width, run: Run::Same { left: 0, value: 0 } }
    }

    /// Begins the next run.
    fn begin(&mut self) -> Option<Run<'a>> {
        let mut head = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            head |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        let count = head >> 1;
        if head & 1 == 0 {
            let (value, rest) = self.bytes.split_at_checked(self.width.div_ceil(8) as usize)?;
            self.bytes = rest;
            let value = value.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
            return Some(Run::Same { left: count, value });
        }
        // Eight numbers take as many bytes as one takes bits. Some writers cut the last ones off.
        let len = count.saturating_mul(self.width.into()).min(self.bytes.len() as u64) as usize;
        let (bytes, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        Some(Run::Packed { left: count.saturating_mul(8), bytes, bit: 0 })
    }
}

impl Iterator for Hybrid<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            match &mut self.run {
                Run::Same { left: 0, .. } | Run::Packed { left: 0, .. } => self.run = self.begin()?,
                Run::Same { left, value } => {
                    *left -= 1;
                    return Some(*value);
                }
                Run::Packed { left, bytes, bit } => {
                    let end = *bit + self.width as usize;
                    if end > bytes.len() * 8 {
                        return None;
                    }
                    let bits = (*bit..end).rev();
                    let value = bits.fold(0, |value, bit| value << 1 | u64::from(bytes[bit / 8] >> (bit % 8) & 1));
                    (*left, *bit) = (*left - 1, end);
                    return Some(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_packed_numbers_follow_each_other() {
        // Three sevens, then the example of the format: 0 to 7 in three bits each.
        let bytes = [6, 7, 3, 0x88, 0xc6, 0xfa, 4, 1];
        let all: Vec<u64> = Hybrid::new(&bytes, 3).collect();
        assert_eq!(all, [7, 7, 7, 0, 1, 2, 3, 4, 5, 6, 7, 1, 1]);
        // Without bits every number is zero, as many as the runs say.
        assert_eq!(Hybrid::new(&[8, 3], 0).collect::<Vec<_>>(), [0; 12]);
        // Cut off within a run, and damaged.
        assert_eq!(Hybrid::new(&[3, 0x88], 3).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(Hybrid::new(&[6], 3).next(), None);
        assert_eq!(Hybrid::new(&[6, 7, 7, 7, 7, 7], 33).next(), None);
        assert_eq!(Hybrid::new(&[0; 9], 3).next(), None);
    }
}
