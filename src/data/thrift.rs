//! Thrift's compact protocol, in which the metadata of Parquet files are written: reading only, from memory.
//!
//! The `parquet` crate reads them too, but it goes as deep into a schema as that claims to be, and takes memory for as many
//! children as a group claims. Here nothing takes memory, and what nests deeper than [`MAX_DEPTH`] is refused.

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 32;

/// What is wrong: the bytes end within something, or are none of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Ends,
    Damaged,
}

/// Bytes, and how far they are read.
#[derive(Debug, Clone)]
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    place: usize,
}

/// What a value is, as a field or list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    True,
    False,
    Byte,
    Integer,
    Double,
    Binary,
    List,
    Map,
    Struct,
}

/// A field of a struct, whose value follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub id: i64,
    pub kind: Kind,
}

impl Kind {
    fn of(code: u8) -> Result<Self, Fault> {
        Ok(match code {
            1 => Self::True,
            2 => Self::False,
            3 => Self::Byte,
            4..=6 => Self::Integer,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            _ => return Err(Fault::Damaged),
        })
    }
}

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, place: 0 }
    }

    /// Bytes read so far.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.bytes.get(self.place).ok_or(Fault::Ends)?;
        self.place += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Damaged)
    }

    /// An integer of any width but that of a byte.
    pub(super) fn integer(&mut self) -> Result<i64, Fault> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let len = usize::try_from(self.varint()?).map_err(|_| Fault::Ends)?;
        let end = self.place.checked_add(len).ok_or(Fault::Ends)?;
        let bytes = self.bytes.get(self.place..end).ok_or(Fault::Ends)?;
        self.place = end;
        Ok(bytes)
    }

    /// The kind of a list's elements, and how many there are.
    pub(super) fn list(&mut self) -> Result<(Kind, u64), Fault> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        Ok((Kind::of(head & 15)?, count))
    }

    /// Reads a list of structs.
    pub(super) fn structs(&mut self, mut each: impl FnMut(&mut Self, u64) -> Result<(), Fault>) -> Result<(), Fault> {
        let (kind, count) = self.list()?;
        if count > 0 && kind != Kind::Struct {
            return Err(Fault::Damaged);
        }
        (0..count).try_for_each(|index| each(self, index))
    }

    /// Reads a struct: `each` reads the value of a field and returns true, or leaves it and returns false.
    pub(super) fn fields(
        &mut self,
        mut each: impl FnMut(&mut Self, Field) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut id = 0_i64;
        while let Some(field) = self.field(&mut id)? {
            if !each(self, field)? {
                self.skip(field.kind, MAX_DEPTH)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, id: &mut i64) -> Result<Option<Field>, Fault> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        *id = match head >> 4 {
            0 => self.integer()?,
            more => id.checked_add(more.into()).ok_or(Fault::Damaged)?,
        };
        Ok(Some(Field { id: *id, kind: Kind::of(head & 15)? }))
    }

    fn skip(&mut self, kind: Kind, depth: usize) -> Result<(), Fault> {
        let deeper = depth.checked_sub(1).ok_or(Fault::Damaged)?;
        match kind {
            Kind::True | Kind::False => {}
            Kind::Byte => drop(self.byte()?),
            Kind::Integer => drop(self.varint()?),
            Kind::Double => {
                for _ in 0..8 {
                    self.byte()?;
                }
            }
            Kind::Binary => drop(self.binary()?),
            Kind::List => {
                let (kind, count) = self.list()?;
                for _ in 0..count {
                    self.skip_element(kind, deeper)?;
                }
            }
            Kind::Map => {
                let count = self.varint()?;
                if count > 0 {
                    let kinds = self.byte()?;
                    let (key, value) = (Kind::of(kinds >> 4)?, Kind::of(kinds & 15)?);
                    for _ in 0..count {
                        self.skip_element(key, deeper)?;
                        self.skip_element(value, deeper)?;
                    }
                }
            }
            Kind::Struct => {
                let mut id = 0;
                while let Some(field) = self.field(&mut id)? {
                    self.skip(field.kind, deeper)?;
                }
            }
        }
        Ok(())
    }

    /// Each takes a byte at least, a truth too.
    fn skip_element(&mut self, kind: Kind, depth: usize) -> Result<(), Fault> {
        match kind {
            Kind::True | Kind::False => self.byte().map(drop),
            kind => self.skip(kind, depth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_is_read_and_what_is_unknown_skipped() {
        // 1: integer -3, 2: truth, 4: list of two texts, 20: struct, 21: text.
        let bytes = [0x15, 5, 0x11, 0x29, 0x28, 1, b'a', 2, b'b', b'c', 0x0c, 40, 0x15, 2, 0, 0x18, 2, b'o', b'k', 0];
        let mut thrift = Thrift::new(&bytes);
        let (mut number, mut truth, mut text) = (0, false, &b""[..]);
        let read = thrift.fields(|thrift, field| {
            match field.id {
                1 => number = thrift.integer()?,
                2 => truth = field.kind == Kind::True,
                21 => text = thrift.binary()?,
                _ => return Ok(false),
            }
            Ok(true)
        });
        assert_eq!((read, number, truth, text), (Ok(()), -3, true, &b"ok"[..]));
        assert_eq!(thrift.place(), bytes.len());
        for end in 0..bytes.len() {
            let cut = Thrift::new(&bytes[..end]).fields(|_, _| Ok(false));
            assert_eq!(cut, Err(Fault::Ends), "{end}");
        }
    }

    #[test]
    fn claims_take_neither_memory_nor_depth() {
        // A list of 2^63 structs, and structs in structs.
        let list = [0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
        assert_eq!(Thrift::new(&list).fields(|_, _| Ok(false)), Err(Fault::Ends));
        assert_eq!(Thrift::new(&[0x1c; 1 << 20]).fields(|_, _| Ok(false)), Err(Fault::Damaged));
        // A number of more than 64 bits.
        assert_eq!(Thrift::new(&[0xff; 12]).integer(), Err(Fault::Damaged));
    }
}
