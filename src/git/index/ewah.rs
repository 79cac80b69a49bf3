//! EWAH bitmaps as git stores them (gitformat-bitmap(5), "EWAH"): 64-bit words, each run-length word followed by
//! literal ones. Bit 0 of a run-length word is the value of the run, 32 bits are its length in words, the 31 above count
//! the literal words behind it.

use crate::error::Result;

/// Bytes that the longest bitmap of `bits` bits takes: each literal word with a run-length word of its own, and one word
/// more on either side.
pub(super) fn longest(bits: u32) -> u64 {
    12 + 16 * (u64::from(bits) / 64 + 2)
}

/// The positions of the set bits, in order.
#[derive(Clone)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// The next compressed word.
    at: usize,
    /// Bits that the words before were for.
    passed: u64,
    /// Set bits of a run that are still to come.
    ones: u64,
    /// Literal words that are still to come.
    literals: u64,
    /// What is left of the present literal word, shifted so that its bit 0 is bit `passed`.
    literal: u64,
    /// Bits of it.
    left: u32,
    /// Bits that may be set.
    limit: u32,
}

impl Bits {
    /// A bitmap in which nothing is set.
    pub fn none() -> Bits {
        Bits { words: Vec::new(), at: 0, passed: 0, ones: 0, literals: 0, literal: 0, left: 0, limit: 0 }
    }

    /// The bitmap at the start of `data`, for `limit` things, and what stands behind it.
    pub fn parse(data: &[u8], limit: u32) -> Result<(Bits, &[u8])> {
        let short = || super::bad("a bitmap that is cut short");
        let (head, rest) = data.split_at_checked(8).ok_or_else(short)?;
        let count = u32::from_be_bytes(head[4..].try_into().expect("4 bytes")) as usize;
        let len = count.checked_mul(8).ok_or_else(short)?;
        let (words, rest) = rest.split_at_checked(len).ok_or_else(short)?;
        // Where the last run-length word stands, which only a writer needs.
        let (_, rest) = rest.split_at_checked(4).ok_or_else(short)?;
        let words = words.chunks_exact(8).map(|w| u64::from_be_bytes(w.try_into().expect("8 bytes"))).collect();
        Ok((Bits { words, limit, ..Bits::none() }, rest))
    }

    /// The next set bit.
    pub fn next(&mut self) -> Result<Option<u32>> {
        loop {
            if self.ones > 0 {
                self.ones -= 1;
                return self.found(0);
            }
            if self.literal != 0 {
                let zeros = self.literal.trailing_zeros();
                // In two steps, for a shift by all 64 bits is none.
                self.literal = self.literal >> zeros >> 1;
                self.left -= zeros + 1;
                return self.found(zeros);
            }
            self.passed += u64::from(std::mem::take(&mut self.left));
            let Some(&word) = self.words.get(self.at) else {
                return match self.literals {
                    0 => Ok(None),
                    _ => Err(super::bad("a bitmap that is cut short")),
                };
            };
            self.at += 1;
            if self.literals > 0 {
                self.literals -= 1;
                (self.literal, self.left) = (word, 64);
                continue;
            }
            let run = (word >> 1 & 0xffff_ffff) * 64;
            self.literals = word >> 33;
            match word & 1 {
                0 => self.passed = self.passed.saturating_add(run),
                _ => self.ones = run,
            }
        }
    }

    fn found(&mut self, zeros: u32) -> Result<Option<u32>> {
        let bit = self.passed.saturating_add(u64::from(zeros));
        self.passed = bit.saturating_add(1);
        match u32::try_from(bit) {
            Ok(bit) if bit < self.limit => Ok(Some(bit)),
            _ => Err(super::bad("a bitmap that names what is not there")),
        }
    }
}

/// Appends the bitmap in which exactly these are set; they come in order, none twice.
pub(super) fn write(set: &[u32], out: &mut Vec<u8>) {
    let mut words = vec![0u64];
    let mut last = 0;
    // The word of the bitmap that the next literal would stand for.
    let mut next = 0;
    let mut at = 0;
    while at < set.len() {
        let index = set[at] / 64;
        let mut literal = 0u64;
        while at < set.len() && set[at] / 64 == index {
            literal |= 1 << (set[at] % 64);
            at += 1;
        }
        // A count has 31 bits, and no more words than 2^26 have bits with numbers of 32.
        if index > next {
            if words[last] != 0 {
                last = words.len();
                words.push(0);
            }
            words[last] = u64::from(index - next) << 1;
        }
        words[last] += 1 << 33;
        words.push(literal);
        next = index + 1;
    }
    out.extend_from_slice(&set.last().map_or(0, |b| b.saturating_add(1)).to_be_bytes());
    out.extend_from_slice(&(words.len() as u32).to_be_bytes());
    words.iter().for_each(|w| out.extend_from_slice(&w.to_be_bytes()));
    out.extend_from_slice(&(last as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8], limit: u32) -> Result<Vec<u32>> {
        let (mut bits, rest) = Bits::parse(data, limit)?;
        assert_eq!(rest, b"", "all is of the bitmap");
        let mut out = Vec::new();
        while let Some(b) = bits.next()? {
            out.push(b);
        }
        Ok(out)
    }

    fn words(words: &[u64]) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0];
        out.extend_from_slice(&(words.len() as u32).to_be_bytes());
        words.iter().for_each(|w| out.extend_from_slice(&w.to_be_bytes()));
        out.extend_from_slice(&[0; 4]);
        out
    }

    #[test]
    fn what_is_written_is_read_at_the_edges_of_words() {
        let sets: [&[u32]; 12] = [
            &[],
            &[0],
            &[63],
            &[64],
            &[65],
            &[0, 63],
            &[63, 64],
            &[0, 64, 128, 129],
            &[127, 128, 6400],
            &[1, 2, 3, 70, 71, 100_000],
            &[999_999],
            &[u32::MAX - 1],
        ];
        let full: Vec<u32> = (0..129).collect();
        for set in sets.into_iter().chain([&full[..], &full[1..64], &full[..64], &full[..65]]) {
            let mut out = Vec::new();
            write(set, &mut out);
            let limit = set.last().map_or(0, |l| l + 1);
            assert_eq!(read(&out, limit).unwrap(), set);
            assert!(out.len() as u64 <= longest(limit), "{set:?}");
            // One that is there and must not be.
            assert_eq!(set.is_empty(), read(&out, limit.saturating_sub(1)).is_ok());
            // Cut short anywhere.
            for cut in 0..out.len() {
                assert!(Bits::parse(&out[..cut], limit).is_err(), "{set:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn runs_of_ones_and_zeros() {
        // One word of ones, then a literal; two of zeros, then one of ones.
        let data = words(&[1 | 1 << 1 | 1 << 33, 0b101, 2 << 1, 1 | 1 << 1]);
        let want: Vec<u32> = (0..64).chain([64, 66]).chain(256..320).collect();
        assert_eq!(read(&data, 320).unwrap(), want);
        assert!(read(&data, 319).is_err());
    }

    #[test]
    fn no_bitmap_does_harm() {
        // The longest runs, ones and zeros, over and over, with more literals than there are words.
        for word in [u64::MAX, u64::MAX - 1, 1 << 33, 0xffff_ffff << 1] {
            let all = read(&words(&[word; 64]), 100);
            assert_eq!(all.is_ok(), word == 0xffff_ffff << 1, "{word:x}");
        }
        assert!(read(&words(&[5 << 33]), 100).is_err());
    }
}
