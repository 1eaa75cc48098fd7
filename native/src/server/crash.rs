//! Crash reports: the log lines about a panic or a fatal signal.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;

use super::log::Log;

/// Makes panics write a crash report to the log.
pub(crate) fn report_to(log: Log) {
    std::panic::set_hook(Box::new(move |info| {
        let text = report(info, &Backtrace::force_capture());
        log.emit(text.as_bytes());
        if !log.is_stdout() {
            eprint!("{text}");
        }
    }));
}

/// Ends the process by this signal's default action, after a crash report.
pub(crate) fn end_by(log: &Log, signal: i32) {
    report_signal(log, signal);
    // Does not return from a signal that ends processes.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

/// Writes a crash report about a signal that ends the process.
pub(crate) fn report_signal(log: &Log, signal: i32) {
    let version = env!("CARGO_PKG_VERSION");
    let trace = Backtrace::force_capture();
    let text = format!(
        "\n=== LIMPID BUG REPORT START: Cut & paste starting from here ===\n\
         Limpid {version} crashed by signal: {signal}\n\
         ------ STACK TRACE ------\n{trace}\n\
         === LIMPID BUG REPORT END. Make sure to include from START to END. ===\n"
    );
    log.emit(text.as_bytes());
}

fn report(info: &PanicHookInfo<'_>, trace: &Backtrace) -> String {
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    format!(
        "\n=== LIMPID BUG REPORT START: Cut & paste starting from here ===\n\
         Limpid {version} crashed in thread {thread:?} at {place}:\n{message}\n\
         ------ STACK TRACE ------\n{trace}\n\
         ------ PLEASE ------\n\
         This is a bug in Limpid. A report helps most with the lines above and the commands that \
         led here.\n\
         === LIMPID BUG REPORT END. Make sure to include from START to END. ===\n",
        version = env!("CARGO_PKG_VERSION"),
        thread = thread.name().unwrap_or("unnamed"),
        message = info.payload_as_str().unwrap_or("no message"),
    )
}
