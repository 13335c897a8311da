//! Entries in the shapes that security products read. The log's own lines stay what is proof.

use serde_json::{Value, json};

use super::chain::Entry;

/// An entry as a document of the Elastic Common Schema, version 8.11.
#[must_use]
pub fn to_ecs(entry: &Entry) -> Value {
    let record = &entry.record;
    // ECS knows three outcomes; what was refused failed.
    let outcome = match record.outcome.as_str() {
        "success" => "success",
        "failure" | "refused" => "failure",
        _ => "unknown",
    };
    let mut document = json!({
        "@timestamp": entry.time,
        "ecs": {"version": "8.11.0"},
        "event": {
            "kind": "event",
            "action": record.action,
            "outcome": outcome,
            "reason": record.outcome,
            "sequence": entry.sequence,
            "hash": entry.hash,
            "provider": "tapeloom",
        },
        "user": {"name": record.actor},
        "tapeloom": {"object": record.object},
    });
    if let Some(tenant) = &entry.tenant {
        document["organization"] = json!({"id": tenant});
    }
    if let Some(run) = &entry.run {
        document["tapeloom"]["run"] = json!(run.to_string());
    }
    if !record.details.is_empty() {
        // Labels are flat keyword fields: a dot would make objects of them.
        let labels = record.details.iter().map(|(name, value)| (name.replace('.', "_"), json!(value)));
        document["labels"] = Value::Object(labels.collect());
    }
    document
}

/// An entry as an event of the Open Cybersecurity Schema Framework, version 1.3: API Activity (class 6003).
#[must_use]
pub fn to_ocsf(entry: &Entry) -> Value {
    const CLASS: u32 = 6003;
    let record = &entry.record;
    let verb = record.action.rsplit('.').next().unwrap_or_default();
    let activity = match verb {
        "created" | "started" | "opened" | "saved" | "added" => 1,
        "read" | "listed" | "exported" | "loaded" => 2,
        "updated" | "promoted" | "withdrawn" | "rotated" | "changed" => 3,
        "deleted" | "erased" | "retired" | "destroyed" => 4,
        _ => 99,
    };
    let (status, severity) = match record.outcome.as_str() {
        "success" => (1, 1),
        "failure" | "refused" => (2, 3),
        _ => (0, 0),
    };
    json!({
        "class_uid": CLASS,
        "category_uid": 6,
        "activity_id": activity,
        "activity_name": verb,
        "type_uid": CLASS * 100 + activity,
        "time": entry.time.micros() / 1000,
        "severity_id": severity,
        "status_id": status,
        "status_detail": record.outcome,
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "tapeloom", "vendor_name": "tapeloom"},
            "uid": entry.hash,
            "sequence": entry.sequence,
            "tenant_uid": entry.tenant,
        },
        "actor": {"user": {"name": record.actor}},
        "api": {"operation": record.action},
        "src_endpoint": {"name": record.details.get("source").map_or("unknown", String::as_str)},
        "resources": [{"name": record.object}],
        "unmapped": record.details,
    })
}
