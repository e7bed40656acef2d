//! Prints the results of the bench.

use crate::rows::Row;
use crate::stage::Figures;
use anyhow::Error;
use serde_json::json;

/// Prints the first line of the table.
pub(crate) fn print_head() {
    println!("{:<15}{:>10}{:>10}{:>10}   {:>15}", "", "median ms", "p99 ms", "max ms", "memory MiB");
}

/// Prints the lines of one row: the bystander's waits, the server's memory, what else was measured, and what the row
/// does.
pub(crate) fn print_row(row: &Row, figures: &Figures, seen: &str) {
    let Figures { waits, memory_before, memory_peak } = figures;
    let memory = format!("{memory_before:.0} -> {memory_peak:.0}");
    println!(
        "{:<15}{:>10.2}{:>10.1}{:>10.0}   {memory:>15}   {seen}",
        row.name, waits.median_ms, waits.p99_ms, waits.max_ms
    );
    if let Some(lost) = &waits.lost {
        println!("{:<15}THE BYSTANDER LOST ITS CONNECTION: {lost}", "");
    }
    println!("{:<15}{}", "", row.about);
}

/// Prints the line of a row that failed.
pub(crate) fn print_failed(row: &Row, fault: &Error, json: bool) {
    if json {
        println!("{}", json!({"row": row.name, "failed": format!("{fault:#}")}));
    } else {
        println!("{:<15}FAILED: {fault:#}", row.name);
    }
}

/// Prints the result of one row as one line of JSON.
pub(crate) fn print_json(row: &Row, figures: &Figures, seen: &str) {
    let Figures { waits, memory_before, memory_peak } = figures;
    let memory = json!({"before_mib": memory_before, "peak_mib": memory_peak});
    println!("{}", json!({"row": row.name, "about": row.about, "bystander": waits, "memory": memory, "seen": seen}));
}
