//! What is worth knowing of pictures beside their pixels, of one and of many, and which files are left out.

use std::path::PathBuf;

use super::{PictureError, PictureProblem, Range};

/// What is worth knowing of a picture beside its pixels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Remarks {
    /// Whether a pixel is transparent, at least in part; it lies on black.
    pub transparent: bool,
    /// Bits that the greatest value of a 16-bit picture takes; `None` of others.
    pub bits: Option<u8>,
    /// Whether the file holds more pictures, of which this is the first.
    pub several: bool,
    /// What the file lacks, where a damaged one was asked for all the same.
    pub damaged: Option<String>,
}

/// What is worth knowing of many pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Noted {
    /// Pictures with transparent pixels.
    pub transparent: usize,
    /// Files of which the first of several pictures was taken.
    pub several: usize,
    /// Damaged pictures.
    pub damaged: usize,
    /// Pictures of 16 bits, and the bits that the greatest of their values takes.
    pub deep: usize,
    /// See above.
    pub bits: u8,
}

/// From so many unused bits on, a range is worth a word.
const UNUSED: u8 = 2;

impl Noted {
    /// Takes in those of one more picture.
    pub fn add(&mut self, remarks: &Remarks) {
        self.transparent += usize::from(remarks.transparent);
        self.several += usize::from(remarks.several);
        self.damaged += usize::from(remarks.damaged.is_some());
        self.deep += usize::from(remarks.bits.is_some());
        self.bits = self.bits.max(remarks.bits.unwrap_or_default());
    }

    /// Takes in those of other pictures.
    pub fn extend(&mut self, other: &Self) {
        self.transparent += other.transparent;
        self.several += other.several;
        self.damaged += other.damaged;
        self.deep += other.deep;
        self.bits = self.bits.max(other.bits);
    }

    /// Every number of it, to be kept.
    pub(super) fn numbers(&self) -> [u64; 5] {
        let Self { transparent, several, damaged, deep, bits } = *self;
        let [transparent, several, damaged, deep] = [transparent, several, damaged, deep].map(|count| count as u64);
        [transparent, several, damaged, deep, bits.into()]
    }

    /// What [`Noted::numbers`] gave.
    pub(super) fn from_numbers([transparent, several, damaged, deep, bits]: [u64; 5]) -> Self {
        let [transparent, several, damaged, deep] = [transparent, several, damaged, deep].map(|count| count as usize);
        Self { transparent, several, damaged, deep, bits: bits as u8 }
    }

    /// The range that fits these pictures.
    pub fn range(&self) -> Range {
        if self.deep > 0 { Range::of_bits(self.bits) } else { Range::Full }
    }

    /// A line for each thing that a person should know of pictures that were read in this range.
    pub fn lines(&self, range: Range) -> Vec<String> {
        let of = |count: usize, one: &str, more: &str| {
            if count == 1 { format!("note: 1 picture {one}") } else { format!("note: {count} pictures {more}") }
        };
        let mut lines = Vec::new();
        if self.transparent > 0 {
            let on = "transparent pixels, which lie on black, as padding does";
            lines.push(of(self.transparent, &format!("has {on}"), &format!("have {on}")));
        }
        if self.several > 0 {
            let first = "the first of several in the same file";
            lines.push(of(self.several, &format!("is {first}"), &format!("are each {first}")));
        }
        if self.damaged > 0 {
            lines.push(of(self.damaged, "is damaged, and counts all the same", "are damaged, and count all the same"));
        }
        match range {
            Range::Bits(bits) if self.bits > bits => lines.push(format!(
                "note: values of {} bits were found, and the model takes {bits} bits for the whole range: greater \
                 values are white",
                self.bits
            )),
            Range::Full | Range::Auto if self.deep > 0 && (1..=16 - UNUSED).contains(&self.bits) => {
                let uses = format!("no more than {} of their 16 bits, so that they are dark", self.bits);
                lines.push(of(self.deep, &format!("uses {uses}"), &format!("use {uses}")));
            }
            _ => {}
        }
        lines
    }
}

/// Most files that are listed by name.
const MAX_LISTED: usize = 100;

/// Files that are not used: how many, and the first of them.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Left out as `--include` or `--exclude` want it.
    pub excluded: usize,
    /// Beside pictures, to say more of them.
    pub sidecars: usize,
    /// Pictures that cannot be read.
    pub unreadable: usize,
    /// The first of them, with what is to be said of each.
    pub listed: Vec<(PathBuf, String)>,
}

impl LeftOut {
    /// Takes in one more.
    pub fn add(&mut self, error: &PictureError) {
        match error.problem {
            PictureProblem::Excluded => self.excluded += 1,
            PictureProblem::Sidecar => self.sidecars += 1,
            _ => self.unreadable += 1,
        }
        if self.listed.len() < MAX_LISTED {
            self.listed.push((error.path.clone(), error.problem.to_string()));
        }
    }

    /// Takes in those of another folder.
    pub fn extend(&mut self, other: Self) {
        self.excluded += other.excluded;
        self.sidecars += other.sidecars;
        self.unreadable += other.unreadable;
        self.listed.extend(other.listed);
        self.listed.truncate(MAX_LISTED);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.excluded + self.sidecars + self.unreadable == 0
    }

    /// How many of which kind, in words; empty where there is none.
    pub fn counted(&self) -> String {
        let kinds =
            [(self.unreadable, "cannot be read"), (self.sidecars, "beside pictures"), (self.excluded, "excluded")];
        let kinds = kinds.into_iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}"));
        kinds.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_said_once_for_all() {
        let mut noted = Noted::default();
        assert!(noted.lines(Range::Full).is_empty());
        assert_eq!(noted.range(), Range::Full);
        noted.add(&Remarks { transparent: true, bits: Some(11), ..Remarks::default() });
        noted.add(&Remarks { several: true, bits: Some(12), ..Remarks::default() });
        assert_eq!(noted.range(), Range::Bits(12));
        let lines = noted.lines(Range::Full);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("note: 1 picture has transparent"), "{lines:?}");
        assert!(lines[2].starts_with("note: 2 pictures use no more than 12 of their 16 bits"), "{lines:?}");
        assert_eq!(noted.lines(Range::Bits(12)).len(), 2);
        assert!(noted.lines(Range::Bits(10))[2].contains("greater values are white"));
    }

    #[test]
    fn files_that_are_left_out_are_counted_and_the_first_listed() {
        let mut left_out = LeftOut::default();
        assert!(left_out.is_empty() && left_out.counted().is_empty());
        for problem in [PictureProblem::Sidecar, PictureProblem::Excluded, PictureProblem::Empty] {
            left_out.add(&PictureError { path: "a".into(), problem });
        }
        for _ in 0..200 {
            left_out.add(&PictureError { path: "b".into(), problem: PictureProblem::Sidecar });
        }
        assert_eq!(left_out.counted(), "1 cannot be read, 201 beside pictures, 1 excluded");
        assert_eq!(left_out.listed.len(), MAX_LISTED);
    }
}
