//! Whether a JPEG file holds all of its picture. Decoders fill what is missing with grey, so its codes are counted here,
//! block by block, without computing a pixel (ITU-T T.81, annexes B, F and G).

/// Coefficients of a block.
const BLOCK: usize = 64;
/// Longest code, in bits.
const MAX_CODE: usize = 16;
/// Bits of a code that are looked up at once.
const LOOKUP: usize = 9;

const NO_END: &str = "it is cut short: it has no end marker";
const MISSING: &str = "a part of it is missing";
const CODE: &str = "it has a code that its tables lack";
const HEADER: &str = "a header in it is damaged";

/// Says what a JPEG file lacks, if anything. Its decoder has taken it, so that what is odd without loss is passed over.
pub(super) fn lack(bytes: &[u8]) -> Option<&'static str> {
    let tables = [const { [const { None }; 4] }; 2];
    let mut walk = Walk { bytes, at: 0, tables, components: Vec::new(), frame: None, restart: 0 };
    walk.file().err()
}

/// The way through a file.
struct Walk<'a> {
    bytes: &'a [u8],
    /// Place of the next byte.
    at: usize,
    /// Codes of the first coefficients of blocks, and of the others.
    tables: [[Option<Codes>; 4]; 2],
    components: Vec<Component>,
    frame: Option<Frame>,
    /// Units between restart markers; 0 for none.
    restart: usize,
}

#[derive(Clone, Copy)]
struct Frame {
    width: usize,
    height: usize,
    progressive: bool,
    /// Most blocks of a component in a unit, across and down.
    most: [usize; 2],
}

struct Component {
    id: u8,
    /// Blocks in a unit, across and down.
    sampling: [usize; 2],
    /// Whether a scan had its first coefficients.
    seen: bool,
    /// Blocks in a row, with those that fill up the last unit.
    row: usize,
    /// A bit for each coefficient that is not zero, by block, of a picture that comes in passes.
    nonzero: Vec<u64>,
}

/// What a scan holds of each block.
#[derive(Clone, Copy)]
struct Pass {
    first: usize,
    last: usize,
    /// Whether it adds a bit to what an earlier scan has.
    refines: bool,
    progressive: bool,
}

/// A component in a scan: its place, and the tables of its codes.
#[derive(Clone, Copy)]
struct Member {
    component: usize,
    first: usize,
    others: usize,
}

impl<'a> Walk<'a> {
    fn file(&mut self) -> Result<(), &'static str> {
        loop {
            match self.marker()? {
                // Of no content: restarts, the beginning of the file.
                0x01 | 0xd0..=0xd8 => {}
                0xd9 => {
                    let judged = self.frame.is_none() || self.components.iter().all(|component| component.seen);
                    return if judged { Ok(()) } else { Err(MISSING) };
                }
                0xc4 => self.codes()?,
                marker @ (0xc0..=0xc2) => self.frame(marker == 0xc2)?,
                0xdd => {
                    if let [high, low, ..] = *self.segment()? {
                        self.restart = usize::from(u16::from_be_bytes([high, low]));
                    }
                }
                0xda => self.scan()?,
                _ => {
                    self.segment()?;
                }
            }
        }
    }

    /// The next marker; what lies before it is passed over, as decoders do.
    fn marker(&mut self) -> Result<u8, &'static str> {
        loop {
            let rest = self.bytes.get(self.at..).ok_or(NO_END)?;
            self.at += rest.iter().position(|&byte| byte == 0xff).ok_or(NO_END)? + 1;
            while self.bytes.get(self.at) == Some(&0xff) {
                self.at += 1;
            }
            let marker = *self.bytes.get(self.at).ok_or(NO_END)?;
            self.at += 1;
            // A zero that is stuffed in.
            if marker != 0 {
                return Ok(marker);
            }
        }
    }

    /// The content of the segment that begins here.
    fn segment(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.bytes.get(self.at..self.at + 2).ok_or(NO_END)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
        let content = self.bytes.get(self.at + 2..self.at + length).ok_or(NO_END)?;
        self.at += length;
        Ok(content)
    }

    fn codes(&mut self) -> Result<(), &'static str> {
        let mut rest = self.segment()?;
        while let Some((&target, behind)) = rest.split_first() {
            let (lengths, behind) = behind.split_first_chunk::<MAX_CODE>().ok_or(HEADER)?;
            let count = lengths.iter().map(|&length| usize::from(length)).sum();
            let symbols = behind.get(..count).ok_or(HEADER)?;
            let table = self.tables.get_mut(usize::from(target >> 4)).ok_or(HEADER)?;
            *table.get_mut(usize::from(target & 15)).ok_or(HEADER)? = Some(Codes::new(lengths, symbols));
            rest = &behind[count..];
        }
        Ok(())
    }

    fn frame(&mut self, progressive: bool) -> Result<(), &'static str> {
        // Memory was lent for the first one, and decoders take no other.
        if !self.components.is_empty() {
            return Err(HEADER);
        }
        let (header, rest) = self.segment()?.split_first_chunk::<6>().ok_or(HEADER)?;
        let [_, h1, h0, w1, w0, count] = *header;
        let [height, width] = [[h1, h0], [w1, w0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let described = rest.chunks_exact(3).take(count.into());
        self.components = described
            .map(|component| Component {
                id: component[0],
                sampling: [component[1] >> 4, component[1] & 15].map(|blocks| usize::from(blocks).max(1)),
                seen: false,
                row: 0,
                nonzero: Vec::new(),
            })
            .collect();
        let most =
            [0, 1].map(|axis| self.components.iter().map(|component| component.sampling[axis]).max().unwrap_or(1));
        let units = [width.div_ceil(8 * most[0]), height.div_ceil(8 * most[1])];
        for component in &mut self.components {
            component.row = units[0] * component.sampling[0];
            if progressive {
                component.nonzero = vec![0; component.row * units[1] * component.sampling[1]];
            }
        }
        // A height that comes later, behind the first scan, is known to few.
        self.frame = (height > 0).then_some(Frame { width, height, progressive, most });
        Ok(())
    }

    /// Counts the blocks of a scan.
    fn scan(&mut self) -> Result<(), &'static str> {
        let header = self.segment()?;
        let Some(frame) = self.frame else { return Ok(()) };
        let count = usize::from(*header.first().ok_or(HEADER)?);
        let parameters = header.get(1 + 2 * count..4 + 2 * count).ok_or(HEADER)?;
        let mut members = Vec::with_capacity(count);
        for member in header[1..=2 * count].chunks_exact(2) {
            let component = self.components.iter().position(|component| component.id == member[0]).ok_or(HEADER)?;
            let [first, others] = [member[1] >> 4, member[1] & 15].map(usize::from);
            members.push(Member { component, first, others });
        }
        let pass = if frame.progressive {
            let [first, last] = [parameters[0], parameters[1]].map(usize::from);
            Pass { first, last, refines: parameters[2] >> 4 != 0, progressive: true }
        } else {
            Pass { first: 0, last: BLOCK - 1, refines: false, progressive: false }
        };
        if pass.last >= BLOCK || pass.first > pass.last {
            return Err(HEADER);
        }
        if pass.first == 0 {
            members.iter().for_each(|member| self.components[member.component].seen = true);
        }
        // Files of some cameras leave out the tables that everybody has: those are not judged.
        let firsts = pass.first > 0 || members.iter().all(|member| self.table(0, member.first).is_some());
        let others = pass.last == 0 || members.iter().all(|member| self.table(1, member.others).is_some());
        if !(firsts && others) {
            return Ok(());
        }
        let mut bits = Bits { bytes: self.bytes, at: self.at, held: 0, count: 0, ended: false };
        let mut run = 0;
        let alone = count == 1;
        let [units_x, units_y] = match (&members[..], alone) {
            (&[Member { component, .. }], true) => {
                let [across, down] = self.components[component].sampling;
                [(frame.width * across).div_ceil(8 * frame.most[0]), (frame.height * down).div_ceil(8 * frame.most[1])]
            }
            _ => [frame.width.div_ceil(8 * frame.most[0]), frame.height.div_ceil(8 * frame.most[1])],
        };
        let mut left = self.restart;
        for (y, x) in (0..units_y).flat_map(|y| (0..units_x).map(move |x| (y, x))) {
            if self.restart > 0 {
                if left == 0 {
                    bits.restart()?;
                    (left, run) = (self.restart, 0);
                }
                left -= 1;
            }
            for &member in &members {
                let [across, down] = if alone { [1, 1] } else { self.components[member.component].sampling };
                for (v, h) in (0..down).flat_map(|v| (0..across).map(move |h| (v, h))) {
                    self.block(&mut bits, &mut run, member, pass, [y * down + v, x * across + h])?;
                }
            }
        }
        self.at = bits.at;
        Ok(())
    }

    fn table(&self, kind: usize, index: usize) -> Option<&Codes> {
        self.tables[kind].get(index)?.as_ref()
    }

    #[inline]
    fn block(
        &mut self,
        bits: &mut Bits,
        run: &mut u32,
        member: Member,
        pass: Pass,
        [y, x]: [usize; 2],
    ) -> Result<(), &'static str> {
        let mut k = pass.first;
        if k == 0 {
            if pass.refines {
                return bits.skip(1);
            }
            let codes = self.tables[0][member.first].as_ref().ok_or(HEADER)?;
            let size = bits.symbol(codes)?;
            bits.skip(size.into())?;
            k = 1;
        }
        if pass.last == 0 {
            return Ok(());
        }
        let codes = self.tables[1][member.others].as_ref().ok_or(HEADER)?;
        if !pass.progressive {
            while k < BLOCK {
                let symbol = bits.symbol_and_value(codes)?;
                let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
                match (size, zeros) {
                    (0, 15) => k += 16,
                    (0, _) => return Ok(()),
                    _ => k += zeros + 1,
                }
            }
            return if k > BLOCK { Err(CODE) } else { Ok(()) };
        }
        let component = &mut self.components[member.component];
        let nonzero = component.nonzero.get_mut(y * component.row + x).ok_or(HEADER)?;
        if pass.refines { refine(bits, run, codes, pass, nonzero) } else { first(bits, run, codes, pass, nonzero) }
    }
}

/// The first scan that has these coefficients of a block.
fn first(bits: &mut Bits, run: &mut u32, codes: &Codes, pass: Pass, nonzero: &mut u64) -> Result<(), &'static str> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = pass.first;
    while k <= pass.last {
        let symbol = bits.symbol(codes)?;
        let (zeros, size) = (symbol >> 4, u32::from(symbol & 15));
        match (size, zeros) {
            (0, 15) => k += 16,
            (0, _) => {
                *run = (1 << zeros) - 1 + bits.take(zeros.into())?;
                return Ok(());
            }
            _ => {
                k += usize::from(zeros);
                if k > pass.last {
                    return Err(CODE);
                }
                bits.skip(size)?;
                *nonzero |= 1 << k;
                k += 1;
            }
        }
    }
    Ok(())
}

/// A scan that adds a bit to coefficients of a block.
fn refine(bits: &mut Bits, run: &mut u32, codes: &Codes, pass: Pass, nonzero: &mut u64) -> Result<(), &'static str> {
    let known = *nonzero;
    let mut k = pass.first;
    while *run == 0 && k <= pass.last {
        let symbol = bits.symbol(codes)?;
        let (mut zeros, size) = (symbol >> 4, u32::from(symbol & 15));
        if size == 0 && zeros < 15 {
            *run = (1 << zeros) + bits.take(zeros.into())?;
            break;
        }
        bits.skip(size)?;
        // As far as the next of those that were zero, behind as many of them as the symbol says.
        while k <= pass.last {
            if known >> k & 1 == 1 {
                bits.skip(1)?;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
        if size > 0 && k <= pass.last {
            *nonzero |= 1 << k;
        }
        k += 1;
    }
    if *run > 0 {
        *run -= 1;
        for k in k..=pass.last {
            bits.skip((known >> k & 1) as u32)?;
        }
    }
    Ok(())
}

/// A table of codes.
struct Codes {
    /// For the bits that come next: length of the code and its symbol; length 0 for a longer one.
    short: Box<[(u8, u8); 1 << LOOKUP]>,
    /// By length: the code after the last, in the upper of 16 bits.
    ends: [u32; MAX_CODE + 1],
    /// By length: what to add to a code for the place of its symbol.
    places: [i32; MAX_CODE + 1],
    symbols: Vec<u8>,
}

impl Codes {
    fn new(lengths: &[u8; MAX_CODE], symbols: &[u8]) -> Self {
        let mut codes =
            Self { short: Box::new([(0, 0); 1 << LOOKUP]), ends: [0; 17], places: [0; 17], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_u32, 0);
        for (length, &count) in (1..).zip(lengths) {
            codes.places[length] = place as i32 - code as i32;
            for _ in 0..count {
                if length <= LOOKUP {
                    let start = (code << (LOOKUP - length)) as usize;
                    let end = (start + (1 << (LOOKUP - length))).min(codes.short.len());
                    if let Some(short) = codes.short.get_mut(start..end) {
                        short.fill((length as u8, symbols[place]));
                    }
                }
                (code, place) = (code + 1, place + 1);
            }
            codes.ends[length] = code << (MAX_CODE - length);
            code <<= 1;
        }
        codes
    }
}

/// The bits of a scan, up to a marker.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The bits that come next, from the top.
    held: u64,
    count: u32,
    /// Whether a marker or the end of the file comes next.
    ended: bool,
}

impl Bits<'_> {
    fn fill(&mut self) {
        // Four bytes at once where none of them may begin a marker.
        while self.count <= 32 {
            let Some(&four) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>()) else { break };
            let word = u32::from_be_bytes(four);
            if (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 != 0 {
                break;
            }
            self.held |= u64::from(word) << (32 - self.count);
            self.count += 32;
            self.at += 4;
        }
        while self.count <= 56 && !self.ended {
            let Some(&byte) = self.bytes.get(self.at) else {
                self.ended = true;
                return;
            };
            if byte == 0xff {
                if self.bytes.get(self.at + 1) != Some(&0) {
                    self.ended = true;
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Passes over at most 32 bits.
    #[inline]
    fn skip(&mut self, bits: u32) -> Result<(), &'static str> {
        if self.count < bits {
            self.fill();
            if self.count < bits {
                return Err(self.none());
            }
        }
        self.held <<= bits;
        self.count -= bits;
        Ok(())
    }

    /// Takes at most 16 bits.
    fn take(&mut self, bits: u32) -> Result<u32, &'static str> {
        self.fill();
        let taken = if bits == 0 { 0 } else { self.held >> (64 - bits) };
        self.skip(bits)?;
        Ok(taken as u32)
    }

    /// A symbol, behind which as many bits are passed over as its lower half says.
    #[inline]
    fn symbol_and_value(&mut self, codes: &Codes) -> Result<u8, &'static str> {
        if self.count < 32 {
            self.fill();
        }
        let (length, symbol) = codes.short[(self.held >> (64 - LOOKUP)) as usize];
        if length > 0 {
            self.skip(u32::from(length) + u32::from(symbol & 15))?;
            return Ok(symbol);
        }
        let symbol = self.symbol(codes)?;
        self.skip(u32::from(symbol & 15))?;
        Ok(symbol)
    }

    #[inline]
    fn symbol(&mut self, codes: &Codes) -> Result<u8, &'static str> {
        if self.count < MAX_CODE as u32 {
            self.fill();
        }
        let (length, symbol) = codes.short[(self.held >> (64 - LOOKUP)) as usize];
        if length > 0 {
            self.skip(length.into())?;
            return Ok(symbol);
        }
        let next = (self.held >> (64 - MAX_CODE)) as u32;
        for length in LOOKUP + 1..=MAX_CODE {
            if next < codes.ends[length] {
                self.skip(length as u32)?;
                let place = (next >> (MAX_CODE - length)) as i32 + codes.places[length];
                return codes.symbols.get(place as usize).copied().ok_or(CODE);
            }
        }
        Err(if self.count < MAX_CODE as u32 { self.none() } else { CODE })
    }

    /// Why there are no more bits.
    fn none(&self) -> &'static str {
        if self.at + 1 < self.bytes.len() { MISSING } else { NO_END }
    }

    /// Goes on behind the restart marker, which comes next.
    fn restart(&mut self) -> Result<(), &'static str> {
        (self.held, self.count, self.ended) = (0, 0, false);
        loop {
            let rest = self.bytes.get(self.at..).ok_or(MISSING)?;
            self.at += rest.iter().position(|&byte| byte == 0xff).ok_or(MISSING)?;
            match self.bytes.get(self.at + 1) {
                Some(0xd0..=0xd7) => {
                    self.at += 2;
                    return Ok(());
                }
                Some(0xff) => self.at += 1,
                Some(0) => self.at += 2,
                _ => return Err(MISSING),
            }
        }
    }
}
