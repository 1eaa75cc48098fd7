//! Byte strings with a small-string optimisation.

use core::fmt;

use crate::store::size::allocated;

/// A byte string of 24 bytes, which stores up to 22 bytes inline.
#[derive(Clone)]
pub enum SmallBytes {
    /// Short strings.
    Inline {
        /// The length.
        len: u8,
        /// The bytes.
        data: [u8; 22],
    },
    /// Longer strings.
    Heap(Box<[u8]>),
}

impl SmallBytes {
    /// A copy of `text`.
    #[inline]
    pub fn new(text: &[u8]) -> Self {
        let mut data = [0; 22];
        match data.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                SmallBytes::Inline { len: text.len() as u8, data }
            }
            None => SmallBytes::Heap(text.into()),
        }
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            SmallBytes::Inline { len, data } => &data[..usize::from(*len).min(22)],
            SmallBytes::Heap(text) => text,
        }
    }

    /// Heap memory in bytes.
    pub fn heap(&self) -> usize {
        match self {
            SmallBytes::Inline { .. } => 0,
            SmallBytes::Heap(text) => allocated(text.len()),
        }
    }
}

impl fmt::Debug for SmallBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().escape_ascii().fmt(f)
    }
}

/// A field and its value in 32 bytes, which stores up to 29 bytes inline and more in one
/// allocation.
#[derive(Clone)]
pub enum Pair {
    /// Short pairs.
    Inline {
        /// Length of the field.
        field: u8,
        /// Length of the value.
        value: u8,
        /// Both, field first.
        data: [u8; 29],
    },
    /// Longer pairs.
    Heap {
        /// Length of the field.
        field: u32,
        /// Both, field first.
        data: Box<[u8]>,
    },
}

impl Pair {
    /// A copy of `field` and `value`.
    #[inline]
    pub fn new(field: &[u8], value: &[u8]) -> Self {
        let mut data = [0; 29];
        let len = field.len() + value.len();
        if len <= data.len() {
            data[..field.len()].copy_from_slice(field);
            data[field.len()..len].copy_from_slice(value);
            return Pair::Inline { field: field.len() as u8, value: value.len() as u8, data };
        }
        let mut data = Vec::with_capacity(len);
        data.extend_from_slice(field);
        data.extend_from_slice(value);
        // Arguments are bounded by `proto-max-bulk-len`, which is below 4 GiB for fields.
        Pair::Heap { field: field.len() as u32, data: data.into_boxed_slice() }
    }

    /// The field and its value.
    #[inline]
    pub fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Pair::Inline { field, value, data } => {
                let (f, rest) = data.split_at(usize::from(*field).min(29));
                (f, &rest[..usize::from(*value).min(rest.len())])
            }
            Pair::Heap { field, data } => data.split_at((*field as usize).min(data.len())),
        }
    }

    /// The field.
    #[inline]
    pub fn field(&self) -> &[u8] {
        self.parts().0
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        self.parts().1
    }

    /// Replaces the value.
    #[inline]
    pub fn set(&mut self, value: &[u8]) {
        match self {
            Pair::Heap { field, data } if data.len() - *field as usize == value.len() => {
                data[*field as usize..].copy_from_slice(value);
            }
            _ => *self = Pair::new(self.field(), value),
        }
    }

    /// Heap memory in bytes.
    pub fn heap(&self) -> usize {
        match self {
            Pair::Inline { .. } => 0,
            Pair::Heap { data, .. } => allocated(data.len()),
        }
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, value) = self.parts();
        write!(f, "{}={}", field.escape_ascii(), value.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_at_every_length() {
        assert_eq!(size_of::<SmallBytes>(), 24);
        assert_eq!(size_of::<Pair>(), 32);
        for n in 0..60usize {
            let text: Vec<u8> = (0..n as u8).collect();
            assert_eq!(SmallBytes::new(&text).as_slice(), text);
            for m in 0..60 {
                let value = vec![7; m];
                let mut pair = Pair::new(&text, b"before");
                pair.set(&value);
                assert_eq!(pair.parts(), (&text[..], &value[..]));
                pair.set(&text);
                assert_eq!(pair.value(), text);
            }
        }
    }
}
