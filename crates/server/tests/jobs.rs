//! Jobs over HTTP: submit, see, change, list.
mod common;

use common::{Dir, Up, job};
use serde_json::json;

#[test]
fn a_job_runs_and_its_statement_balances() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let id = ann.submit(job(8, 50));
    let view = ann.until(&format!("/api/v1/jobs/{id}"), |job| job["state"] == "COMPLETED");
    assert_eq!((&view["nodes"], &view["gpus"], &view["project"], &view["user"]), (&json!(2), &json!(8), &json!("alpha"), &json!("ann")));
    assert_eq!(view["slots"].as_array().map(Vec::len), Some(0).or(view["slots"].as_array().map(Vec::len)));
    let statement = ann.get("/api/v1/projects/alpha/statement").ok();
    assert_eq!(statement["balances"], true);
    let kinds: Vec<&str> = statement["lines"].as_array().expect("lines").iter().filter_map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds, ["grant", "hold", "charge"]);
    assert_eq!(statement["spent_gpu_us"], json!(8 * 1000 * 50));
    let past = ann.get("/api/v1/jobs?state=all").ok();
    assert_eq!(past["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(up.client("root").get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");
}
