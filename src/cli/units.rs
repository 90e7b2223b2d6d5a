//! Numbers as people read them.

/// A number of multiply-accumulates to three digits.
pub(super) fn count(macs: u64) -> String {
    if macs >= 1_000_000 { format!("{:.2} M", macs as f64 / 1e6) } else { format!("{:.1} k", macs as f64 / 1e3) }
}
