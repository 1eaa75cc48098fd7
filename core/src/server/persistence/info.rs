//! INFO Persistence.

use super::super::Server;
use super::loading::Loading;
use super::seconds_between;
use super::snapshot::Job;
use crate::front::info_text::Text;

impl Server {
    /// The section `persistence`. Fields about forks describe snapshots: copies of entries that
    /// change before they are written count as copy-on-write.
    pub(in crate::server) fn persistence_section(&self, text: &mut Text) {
        let saves = &self.service.persistence.saves;
        let loads = &self.service.persistence.loads;
        let aside = self.loading().is_some_and(|loading| loading.aside);
        let (keys, total) = self.snapshot().map(Job::progress).unwrap_or_default();
        let copied = self.service.keyspace.snapshot_copied();
        let percent = if total == 0 { 0.0 } else { keys as f64 * 100.0 / total as f64 };
        let current = self.rdb_child().map_or(-1, |job| seconds_between(job.began(), self.now.1));
        text.section("Persistence");
        text.field("loading", u8::from(self.is_loading() && !aside));
        text.field("async_loading", u8::from(aside));
        text.field("current_cow_peak", copied);
        text.field("current_cow_size", copied);
        text.field("current_cow_size_age", 0);
        text.field("current_fork_perc", format_args!("{percent:.2}"));
        text.field("current_save_keys_processed", keys);
        text.field("current_save_keys_total", total);
        text.field("rdb_changes_since_last_save", self.service.dirty);
        text.field("rdb_bgsave_in_progress", u8::from(self.rdb_child().is_some()));
        text.field("rdb_last_save_time", saves.last);
        text.field("rdb_last_bgsave_status", if saves.failed { "err" } else { "ok" });
        text.field("rdb_last_bgsave_time_sec", saves.took.unwrap_or(-1));
        text.field("rdb_current_bgsave_time_sec", current);
        text.field("rdb_saves", saves.count);
        text.field("rdb_last_cow_size", saves.copied);
        text.field("rdb_last_load_keys_expired", loads.expired);
        text.field("rdb_last_load_keys_loaded", loads.keys);
        self.aof_fields(text);
        text.field("module_fork_in_progress", 0);
        text.field("module_fork_last_cow_size", 0);
        self.aof_size_fields(text);
        if let Some(loading) = self.loading() {
            self.loading_fields(text, loading);
        }
    }

    fn loading_fields(&self, text: &mut Text, loading: &Loading) {
        let Loading { since, total, loaded, used_memory, .. } = *loading;
        // If the size is not known, the memory that the data used when it was written stands in for
        // it.
        let whole = if total > 0 { total } else { used_memory };
        let percent = if whole == 0 { 0.0 } else { loaded as f64 * 100.0 / whole as f64 };
        let percent = if total > 0 { percent } else { percent.min(99.99) };
        let left = if whole == 0 { 1 } else { whole.saturating_sub(loaded) };
        let left = if total > 0 { left } else { left.max(1) };
        let elapsed = self.now.1.as_secs().saturating_sub(since.as_secs());
        // In the first second there is too little to estimate from.
        let eta = match elapsed {
            0 => 1,
            elapsed => elapsed.saturating_mul(left) / (loaded + 1),
        };
        text.field("loading_start_time", since.as_secs());
        text.field("loading_total_bytes", total);
        text.field("loading_rdb_used_mem", used_memory);
        text.field("loading_loaded_bytes", loaded);
        text.field("loading_loaded_perc", format_args!("{percent:.2}"));
        text.field("loading_eta_seconds", eta);
    }
}
