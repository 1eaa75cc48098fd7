//! The content of a file.

use std::sync::Arc;

use crate::rng::Rng;

/// File content in pages that clones share.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pages: Vec<Arc<Vec<u8>>>,
    pub(super) len: u64,
}

impl Content {
    const PAGE: usize = 4096;

    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            match self.pages.last_mut() {
                Some(last) if last.len() < Self::PAGE => {
                    let n = bytes.len().min(Self::PAGE - last.len());
                    let (now, later) = bytes.split_at(n);
                    Arc::make_mut(last).extend_from_slice(now);
                    bytes = later;
                }
                _ => self.pages.push(Arc::default()),
            }
        }
    }

    pub(super) fn read(&self, offset: u64, len: u64) -> Vec<u8> {
        let end = offset.saturating_add(len).min(self.len);
        let mut out = Vec::new();
        let mut at = offset;
        while at < end {
            let (page, skip) = (at / Self::PAGE as u64, (at % Self::PAGE as u64) as usize);
            let Some(page) = usize::try_from(page).ok().and_then(|p| self.pages.get(p)) else {
                break;
            };
            let rest = page.get(skip..).unwrap_or_default();
            let n = rest.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            if n == 0 {
                break;
            }
            out.extend_from_slice(&rest[..n]);
            at += n as u64;
        }
        out
    }

    /// Truncates to `len` bytes, or extends with zeros.
    pub(super) fn truncate(&mut self, len: u64) {
        if len > self.len {
            // Sparse files are not supported; filling page by page keeps the code simple.
            let zeros = [0; Self::PAGE];
            while self.len < len {
                let n = usize::try_from(len - self.len).unwrap_or(usize::MAX).min(Self::PAGE);
                self.append(&zeros[..n]);
            }
            return;
        }
        let pages = usize::try_from(len.div_ceil(Self::PAGE as u64)).unwrap_or(usize::MAX);
        self.pages.truncate(pages);
        let rest = (len % Self::PAGE as u64) as usize;
        if rest > 0
            && let Some(last) = self.pages.last_mut()
        {
            Arc::make_mut(last).truncate(rest);
        }
        self.len = len;
    }

    /// Replaces random pages after the first `from` bytes by zeros.
    pub(super) fn lose_pages(&mut self, from: u64, rng: &mut Rng) {
        let page_size = Self::PAGE as u64;
        let first = usize::try_from(from / page_size).unwrap_or(usize::MAX);
        for (i, page) in self.pages.iter_mut().enumerate().skip(first) {
            let kept = (from.saturating_sub(i as u64 * page_size)) as usize;
            if rng.below(4) == 0
                && let Some(lost) = Arc::make_mut(page).get_mut(kept..)
            {
                lost.fill(0);
            }
        }
    }
}
