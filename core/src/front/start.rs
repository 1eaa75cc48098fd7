//! The first lines of a process's log.

use super::{Front, LIMPID_VERSION, Service, VERSION};
use crate::machine::{LogLevel, LogLine, Output};

impl<S: Service> Front<S> {
    /// Logs the version and the configuration file.
    pub(crate) fn log_start(&mut self) {
        // A server has no role before it knows its own process id; a Sentinel always has its own.
        let role = if S::log_role(self) == 'X' { 'X' } else { 'C' };
        let starting = |text: String| Output::Log(LogLine { level: LogLevel::Notice, role, text });
        let pid = self.facts.pid;
        let bits = self.facts.arch_bits;
        let lines = [
            "oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo".to_owned(),
            format!(
                "Redis version={VERSION}, bits={bits}, commit=00000000, modified=0, pid={pid}, \
                 just started"
            ),
            match &self.config.file {
                Some(_) => "Configuration loaded".to_owned(),
                None => format!(
                    "Warning: no config file specified, using the default config. In order to \
                     specify a config file use {} /path/to/redis.conf",
                    self.facts.executable
                ),
            },
        ];
        self.outputs.extend(lines.into_iter().map(starting));
        self.notice(|| "monotonic clock: POSIX clock_gettime".to_owned());
        let settings = self.settings();
        let port = settings.port;
        let to_terminal =
            self.facts.terminal && settings.logfile.is_empty() && !settings.syslog_enabled;
        if settings.always_show_logo || to_terminal {
            let lines = [
                format!("Limpid {LIMPID_VERSION} - Redis {VERSION} - {bits} bit"),
                format!("Running in {} mode", S::mode(self)),
                format!("Port: {port}"),
                format!("PID: {pid}"),
            ];
            for line in lines {
                self.notice(|| line);
            }
        } else {
            let mode = S::mode(self);
            self.notice(|| format!("Running mode={mode}, port={port}."));
        }
        for warning in self.config.warnings() {
            self.log(LogLevel::Warning, || warning);
        }
    }
}
