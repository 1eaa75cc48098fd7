//! Memory accounting: allocation sizes rounded up to the size classes of modern allocators.

/// The bytes that an allocator uses for a request of `bytes`.
///
/// Steps of 8 up to 64, then four steps per doubling, as in mimalloc and jemalloc (apart from
/// jemalloc's 16-byte alignment). An estimate for accounting, the same on every platform; it does
/// not influence allocations.
pub(crate) const fn allocated(bytes: usize) -> usize {
    if bytes <= 64 {
        return bytes.next_multiple_of(8);
    }
    // A power of two, so that rounding up to a multiple needs no division.
    let step = (1 << (bytes - 1).ilog2()) / 4;
    match bytes.checked_add(step - 1) {
        Some(over) => over & !(step - 1),
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_to_classes() {
        let classes = [0, 8, 16, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 1024, 1280];
        for class in classes {
            assert_eq!(allocated(class), class);
        }
        assert_eq!(allocated(65), 80);
        assert_eq!(allocated(79), 80);
        assert_eq!(allocated(129), 160);
        assert_eq!(allocated(1025), 1280);
    }

    #[test]
    fn no_size_is_rounded_down_or_by_more_than_a_quarter() {
        for bytes in 1..100_000 {
            let got = allocated(bytes);
            assert!(got >= bytes && got <= bytes + (bytes / 4).max(16), "{bytes} -> {got}");
        }
        assert!(allocated(usize::MAX) == usize::MAX);
    }
}
