//! SPEC "Promises": they hold whatever dies when. `make chaos` is the same, longer.

use longshore_tests::chaos::{Chaos, run};

const KILLS: u64 = 12;

fn nothing_is_lost(seed: u64) {
    // For whoever repeats it.
    eprintln!("SEED={seed}");
    let report = run(Chaos { kills: KILLS, seed }).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(report.is_good(), "{report}");
}

#[test]
fn a_host_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    nothing_is_lost(1);
}

#[test]
fn nor_does_one_that_is_killed_at_other_moments_each_time() {
    nothing_is_lost(longshore_tests::platform::nanoseconds() % 1_000_000);
}
