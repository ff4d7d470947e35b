//! Where the time of a job goes.

use serde_json::Value;

use super::Bench;

const NAMES: [&str; 6] = ["waiting", "preparing", "hearing", "rendering", "encoding", "publishing"];

fn stages(job: &Value) -> [f64; 6] {
    let stages = job["progress"]["stages"].as_object().unwrap();
    assert_eq!(stages.len(), NAMES.len(), "{job}");
    NAMES.map(|name| stages[name].as_f64().unwrap_or_else(|| panic!("no {name} in {job}")))
}

/// All of it, in seconds.
fn whole(job: &Value) -> f64 {
    stages(job).iter().sum()
}

/// From the request to the end, by other clocks and to a millisecond.
fn lived(job: &Value) -> f64 {
    (job["finished_ms"].as_f64().unwrap() - job["created_ms"].as_f64().unwrap()) / 1000.0
}

#[tokio::test]
async fn stages_add_up_to_the_life_of_a_job() {
    let bench = Bench::new();
    let first = bench.job(24).await;
    bench.until(&first, "rendering").await;
    let second = bench.job(24).await;
    let early = bench.get(&format!("/api/v1/jobs/{second}")).await.json();
    tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    let waiting = bench.get(&format!("/api/v1/jobs/{second}")).await.json();
    // It is told while it goes on.
    assert!(stages(&waiting)[0] >= stages(&early)[0] + 0.1, "{waiting}");
    let held = bench.get(&format!("/api/v1/jobs/{first}")).await.json();
    // The gate is shut in front of its first frame.
    assert!(whole(&held) >= 0.1, "{held}");
    bench.gate.open();
    for id in [first, second] {
        let job = bench.until(&id, "done").await;
        let (whole, lived) = (whole(&job), lived(&job));
        // Two clocks, each rounded; whatever holds the machine up, nothing is counted twice.
        assert!(whole <= lived + 0.05 && whole >= 0.1, "{whole} of {lived} s: {job}");
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        let later = bench.get(&format!("/api/v1/jobs/{id}")).await.json();
        assert_eq!(stages(&later), stages(&job), "what is over takes no time");
    }
}

#[tokio::test]
async fn stages_are_those_of_this_run() {
    let bench = Bench::open();
    let done = bench.job(24).await;
    assert!(whole(&bench.until(&done, "done").await) > 0.0);
    let bench = bench.restart(|_| {}).await;
    assert_eq!(whole(&bench.get(&format!("/api/v1/jobs/{done}")).await.json()), 0.0);
}
