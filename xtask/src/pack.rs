//! Compresses the page's files once when it is built, so that a web server can send the copies:
//! gzip at its best level, and brotli at quality 11, which is a fifth smaller and far too slow for
//! compression on each request.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::thread;

use brotli::enc::BrotliEncoderParams;
use flate2::{Compression, write::GzEncoder};

/// The compressed copies of a file.
pub(crate) struct Packed {
    /// By gzip.
    pub(crate) gzip: Vec<u8>,
    /// By brotli.
    pub(crate) brotli: Vec<u8>,
}

/// The compressed copies of all files that become smaller.
pub(crate) fn all(site: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Packed> {
    let mut waiting: Vec<(&String, &Vec<u8>)> = site.iter().collect();
    // From the end: the largest first, so that no processor has one left when the others are done.
    waiting.sort_by_key(|(_, bytes)| bytes.len());
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().expect("no packer panics with it").pop();
    let packer = || {
        let mut packed = Vec::new();
        while let Some((name, bytes)) = next() {
            let forms = pack(bytes);
            if forms.gzip.len().max(forms.brotli.len()) < bytes.len() {
                packed.push((name.clone(), forms));
            }
        }
        packed
    };
    let packers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let packers: Vec<_> = (0..packers).map(|_| scope.spawn(packer)).collect();
        packers.into_iter().flat_map(|packer| packer.join().expect("memory to pack in")).collect()
    })
}

fn pack(bytes: &[u8]) -> Packed {
    // Writing to memory does not fail.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory to write to");
    let gzip = encoder.finish().expect("memory to write to");

    let mut brotli = Vec::new();
    // The largest window that every browser supports, so that it covers the whole program.
    let params = BrotliEncoderParams { quality: 11, lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut brotli, &params).expect("memory to write to");
    Packed { gzip, brotli }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn both_forms_give_the_file_back_and_a_file_that_does_not_pack_has_none() {
        let text = b"a page is first of all waited for, ".repeat(20);
        let site = BTreeMap::from([("text".to_owned(), text.clone()), ("x".to_owned(), vec![7])]);
        let packed = all(&site);
        assert_eq!(packed.keys().collect::<Vec<_>>(), ["text"]);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed["text"].gzip[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, text);
        unpacked.clear();
        brotli::BrotliDecompress(&mut &packed["text"].brotli[..], &mut unpacked).unwrap();
        assert_eq!(unpacked, text);
    }
}
