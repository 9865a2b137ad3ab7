//! `HyperLogLog` in the two forms that Redis stores in a string, so that either engine reads what the other wrote.
//!
//! 16,384 registers hold the longest run of zeros seen among the hashes that fall to them. The *dense* form gives each
//! register six bits; the *sparse* form writes runs of equal registers and suits few elements. The estimate is Ertl's
//! ("New cardinality estimation algorithms for `HyperLogLog` sketches", 2017), which needs no table of corrections.

const BITS: u32 = 14;
const REGISTERS: usize = 1 << BITS;
/// Longest run that the other 50 bits of a hash allow.
const LONGEST: usize = 64 - BITS as usize;
const HEADER: usize = 16;
const DENSE: usize = HEADER + REGISTERS * 6 / 8;
/// Largest sparse form, with its header: Redis' default.
const SPARSE_MAX: usize = HEADER + 3000;
const SPARSE_VALUE_MAX: u8 = 32;

/// The registers.
pub(in crate::embedded) struct HyperLogLog {
    registers: Box<[u8; REGISTERS]>,
    dense: bool,
}

impl HyperLogLog {
    pub(in crate::embedded) fn new() -> Self {
        Self { registers: Box::new([0; REGISTERS]), dense: false }
    }

    /// Whether a string claims to be one.
    pub(in crate::embedded) fn is_one(bytes: &[u8]) -> bool {
        bytes.len() >= HEADER && bytes.starts_with(b"HYLL") && bytes[4] <= 1 && (bytes[4] == 1 || bytes.len() == DENSE)
    }

    /// Reads a stored one; `None` when its runs do not add up.
    pub(in crate::embedded) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut this = Self::new();
        if bytes[4] == 0 {
            this.dense = true;
            for (index, register) in this.registers.iter_mut().enumerate() {
                *register = dense_register(bytes, index);
            }
            return Some(this);
        }
        let mut index = 0;
        for run in Runs(&bytes[HEADER..]) {
            let (value, length) = run?;
            this.registers.get_mut(index..index + length)?.fill(value);
            index += length;
        }
        (index == REGISTERS).then_some(this)
    }

    /// Adds an element and says whether a register changed.
    pub(in crate::embedded) fn add(&mut self, element: &[u8]) -> bool {
        let (index, run) = place(element);
        let changed = self.registers[index] < run;
        self.registers[index] = self.registers[index].max(run);
        changed
    }

    /// Whether adding the element to the stored bytes would change nothing, found without unpacking them.
    pub(in crate::embedded) fn knows(bytes: &[u8], element: &[u8]) -> bool {
        let (index, run) = place(element);
        if bytes[4] == 0 {
            return dense_register(bytes, index) >= run;
        }
        let mut end = 0;
        for stored in Runs(&bytes[HEADER..]) {
            let Some((value, length)) = stored else { return false };
            end += length;
            if index < end {
                return value >= run;
            }
        }
        false
    }

    pub(in crate::embedded) fn merge(&mut self, other: &Self) {
        self.dense |= other.dense;
        for (register, &theirs) in self.registers.iter_mut().zip(other.registers.iter()) {
            *register = (*register).max(theirs);
        }
    }

    /// How many different elements were added, by estimate.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate is a float until it is rounded"
    )]
    pub(in crate::embedded) fn count(&self) -> u64 {
        let mut histogram = [0_u32; 64];
        for &register in self.registers.iter() {
            histogram[usize::from(register & 63)] += 1;
        }
        let m = REGISTERS as f64;
        let mut z = m * tau((m - f64::from(histogram[LONGEST + 1])) / m);
        for run in (1..=LONGEST).rev() {
            z = (z + f64::from(histogram[run])) * 0.5;
        }
        z += m * sigma(f64::from(histogram[0]) / m);
        (0.721_347_520_444_481_7 * m * m / z).round() as u64
    }

    /// The stored form: sparse while it fits and was not dense before.
    pub(in crate::embedded) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(b"HYLL\x01\0\0\0");
        // The cached estimate, marked as out of date.
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0x80]);
        if !self.dense && self.registers.iter().all(|&value| value <= SPARSE_VALUE_MAX) {
            for run in self.registers.chunk_by(|left, right| left == right) {
                push_run(&mut bytes, run[0], run.len());
            }
            if bytes.len() <= SPARSE_MAX {
                return bytes;
            }
        }
        bytes.truncate(HEADER);
        bytes[4] = 0;
        bytes.resize(DENSE, 0);
        for (index, &value) in self.registers.iter().enumerate() {
            let (byte, shift) = (HEADER + index * 6 / 8, index * 6 % 8);
            let wide = u16::from(value) << shift;
            let [low, high] = wide.to_le_bytes();
            bytes[byte] |= low;
            if high != 0 {
                bytes[byte + 1] |= high;
            }
        }
        bytes
    }
}

fn dense_register(bytes: &[u8], index: usize) -> u8 {
    let (byte, shift) = (HEADER + index * 6 / 8, index * 6 % 8);
    let high = bytes.get(byte + 1).copied().unwrap_or(0);
    ((u16::from_le_bytes([bytes[byte], high]) >> shift) & 63) as u8
}

/// Runs of the sparse form as value and length; `None` for one that is cut off.
struct Runs<'a>(&'a [u8]);

impl Iterator for Runs<'_> {
    type Item = Option<(u8, usize)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match first >> 6 {
            0 => Some((0, usize::from(first & 0x3f) + 1)),
            1 => rest.split_first().map(|(&second, rest)| {
                self.0 = rest;
                (0, (usize::from(first & 0x3f) << 8 | usize::from(second)) + 1)
            }),
            _ => Some(((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1)),
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each length is below the limit of its form")]
fn push_run(into: &mut Vec<u8>, value: u8, mut length: usize) {
    while length > 0 {
        let taken = if value > 0 {
            let taken = length.min(4);
            into.push(0x80 | (value - 1) << 2 | (taken - 1) as u8);
            taken
        } else if length <= 64 {
            into.push((length - 1) as u8);
            length
        } else {
            into.extend_from_slice(&[0x40 | ((length - 1) >> 8) as u8, (length - 1) as u8]);
            length
        };
        length -= taken;
    }
}

/// The register of an element, and the run of zeros of its hash.
#[expect(clippy::cast_possible_truncation, reason = "the index is masked, and the run is at most 51")]
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let rest = hash >> BITS | 1 << LONGEST;
    (hash as usize & (REGISTERS - 1), rest.trailing_zeros() as u8 + 1)
}

/// `MurmurHash64A` with the seed that Redis uses.
fn murmur(bytes: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut hash = 0xadc8_3b19 ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 47;
        hash = (hash ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u64, |tail, &byte| tail << 8 | u64::from(byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 47;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 47
}

#[expect(clippy::float_cmp, reason = "the series ends when it no longer changes the sum")]
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

#[expect(clippy::float_cmp, reason = "the series ends when it no longer changes the sum")]
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_stay_within_two_percent_in_both_forms() {
        let mut stored = HyperLogLog::new().into_bytes();
        for number in 1..=20_000_u32 {
            if !HyperLogLog::knows(&stored, &number.to_le_bytes()) {
                let mut log = HyperLogLog::parse(&stored).unwrap();
                log.add(&number.to_le_bytes());
                stored = log.into_bytes();
            }
            if [1, 100, 1000, 20_000].contains(&number) {
                let (count, exact) = (HyperLogLog::parse(&stored).unwrap().count(), u64::from(number));
                assert!(count.abs_diff(exact) * 50 <= exact, "{count} for {exact}");
            }
        }
        assert_eq!(stored.len(), DENSE);
    }
}
