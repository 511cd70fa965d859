//! `openapi.json`: the table of operations with the wire's types. Checked in at the root; a test says when they differ.

use madang_api as api;
use madang_api::routes::{Access, OPERATIONS, Operation};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// What an operation takes or gives.
#[derive(Clone, Copy)]
enum Shape {
    Nothing,
    /// Plain text.
    Text,
    /// Server-sent events, each of this type.
    Events(&'static str),
    /// This document.
    Json,
    /// One of this type.
    One(&'static str),
    /// A page of this type.
    Page(&'static str),
}

/// What the table of operations does not say of one: a summary, its queries, what it takes and gives, the status of
/// a good answer.
struct Doc {
    of: (&'static str, &'static str),
    summary: &'static str,
    queries: &'static [(&'static str, &'static str, &'static str)],
    takes: Shape,
    gives: Shape,
    status: &'static str,
}

const fn doc(method: &'static str, path: &'static str, summary: &'static str, takes: Shape, gives: Shape) -> Doc {
    Doc { of: (method, path), summary, queries: &[], takes, gives, status: "200" }
}

impl Doc {
    const fn status(mut self, status: &'static str) -> Doc {
        self.status = status;
        self
    }
    const fn queries(mut self, queries: &'static [(&'static str, &'static str, &'static str)]) -> Doc {
        self.queries = queries;
        self
    }
}

const JOBS: &[(&str, &str, &str)] = &[
    ("user", "string", "login names, comma-separated"),
    ("project", "string", "project names, comma-separated"),
    ("partition", "string", "partition names, comma-separated"),
    ("state", "string", "Slurm's state names, comma-separated, or `active` (default) or `all`"),
    ("name", "string", "the job's name"),
    ("ids", "string", "jobs, arrays and tasks: `1,2_3`"),
    ("since_ms", "integer", "not over before"),
    ("until_ms", "integer", "submitted by"),
    ("site", "string", "site name"),
    ("after", "integer", "`next` of the page before"),
    ("limit", "integer", "1 to 1,000; default 200"),
    ("full", "boolean", "with nodes, devices and former runs"),
    ("expand", "boolean", "an array's waiting tasks one by one"),
];
const NODES: &[(&str, &str, &str)] = &[
    ("site", "string", "site name"),
    ("partition", "string", "partition name"),
    ("names", "string", "node names, comma-separated"),
];
const DEFRAG: &[(&str, &str, &str)] = &[
    ("site", "string", "site name; all when absent"),
    ("horizon_secs", "integer", "no gain is counted beyond this; a day when absent"),
    ("most", "integer", "most moves, 1 to 1,000; default 32"),
];
const SAVED: &[(&str, &str, &str)] = &[("took_secs", "integer", "how long writing it took; 1 to 86,400")];
const LOG: &[(&str, &str, &str)] = &[
    ("stream", "string", "`stdout` (default) or `stderr`"),
    ("offset", "integer", "where the piece begins, in bytes"),
    ("limit", "integer", "bytes, at most 1,048,576"),
];
const PERIOD: &[(&str, &str, &str)] =
    &[("from_ms", "integer", "begin; the opening when absent"), ("until_ms", "integer", "end; now when absent")];

use Shape::{Events, Json, Nothing, One, Page, Text};
const V1: &str = "/api/v1";
const DOCS: &[Doc] = &[
    doc("GET", "/healthz", "The process answers", Nothing, Text),
    doc("GET", "/readyz", "The core takes requests", Nothing, Text),
    doc("GET", "/metrics", "What the server counts, in Prometheus' text format", Nothing, Text),
    doc("GET", "/openapi.json", "This document", Nothing, Json),
    doc("POST", "/session", "Swap a one-time sign-in code for a browser session", One("SignIn"), One("Me")),
    doc("DELETE", "/session", "End the browser session", Nothing, Nothing).status("204"),
    doc("GET", "/me", "The caller", Nothing, One("Me")),
    doc("GET", "/overview", "The centre at a glance", Nothing, One("Overview")),
    doc("GET", "/sites", "Sites with capacity and load", Nothing, Page("SiteView")),
    doc("POST", "/sites/{name}/lost", "A site is lost: nothing new goes there", One("LostSpec"), One("SiteView")),
    doc("POST", "/sites/{name}/back", "A lost site is back", Nothing, One("SiteView")),
    doc("GET", "/partitions", "Partitions", Nothing, Page("PartitionView")),
    doc("GET", "/floor", "Every node and GPU", Nothing, One("Floor")),
    doc("GET", "/nodes", "Nodes", Nothing, Page("NodeView")).queries(NODES),
    doc("POST", "/nodes/{name}/drain", "Stop giving work to a node", One("DrainSpec"), One("NodeView")),
    doc("POST", "/nodes/{name}/signs", "Tell what was seen on a node", One("SignSpec"), One("NodeView")),
    doc("POST", "/nodes/{name}/resume", "Give work to a node again", Nothing, One("NodeView")),
    doc("POST", "/nodes/{name}/clear", "Nothing that was given up runs there", Nothing, One("NodeView")),
    doc("GET", "/reservations", "Reservations that are not over", Nothing, Page("ReservationView")),
    doc("POST", "/reservations", "Book nodes or capacity in time", One("ReservationSpec"), One("ReservationView"))
        .status("201"),
    doc("DELETE", "/reservations/{name}", "Cancel a reservation", Nothing, Nothing).status("204"),
    doc("GET", "/defrag", "Moves of runs that gain more than they cost", Nothing, One("DefragPlan")).queries(DEFRAG),
    doc("POST", "/defrag", "Make the moves of a plan, all or none", One("DefragSpec"), One("Changed")),
    doc("GET", "/events", "Live updates as server-sent events", Nothing, Events("Event")),
    doc("GET", "/jobs", "Jobs, by id", Nothing, Page("JobView")).queries(JOBS),
    doc("POST", "/jobs", "Submit a job or an array", One("Submit"), One("Submitted")).status("201"),
    doc("GET", "/jobs/{id}", "A job", Nothing, One("JobView")),
    doc("PATCH", "/jobs/{id}", "Change a job", One("Alter"), One("Changed")),
    doc("DELETE", "/jobs/{id}", "Cancel a job, an array or a task", Nothing, One("Changed")),
    doc("POST", "/jobs/{id}/hold", "Keep a waiting job from starting", Nothing, One("Changed")),
    doc("POST", "/jobs/{id}/release", "Undo a hold", Nothing, One("Changed")),
    doc("POST", "/jobs/{id}/requeue", "End a run and queue the job again", Nothing, One("Changed")),
    doc("POST", "/jobs/{id}/signal", "Signal a running job", One("SignalSpec"), One("Changed")),
    doc("POST", "/jobs/{id}/checkpoint", "A run says that it wrote a checkpoint", Nothing, One("Changed"))
        .queries(SAVED),
    doc("POST", "/jobs/{id}/finish", "Give back an allocation that was held only", One("FinishSpec"), One("Changed")),
    doc("GET", "/jobs/{id}/why", "Why a job waits", Nothing, One("Why")),
    doc("GET", "/jobs/{id}/when", "When a job will start", Nothing, One("When")),
    doc("GET", "/jobs/{id}/log", "A piece of a job's output", Nothing, One("LogPiece")).queries(LOG),
    doc("GET", "/jobs/{id}/script", "A job's script", Nothing, Text),
    doc("GET", "/projects", "Projects", Nothing, Page("ProjectView")),
    doc("POST", "/projects", "Make a project", One("NewProject"), One("ProjectView")).status("201"),
    doc("GET", "/projects/{name}", "A project", Nothing, One("ProjectView")),
    doc("POST", "/projects/{name}/awards", "Grant GPU time", One("NewAward"), One("ProjectView")).status("201"),
    doc("POST", "/projects/{name}/members", "Add a member", One("NewMember"), One("ProjectView")),
    doc("POST", "/projects/{name}/data", "Where a project's data are", One("ProjectData"), One("ProjectView")),
    doc("GET", "/projects/{name}/statement", "A statement, line by line", Nothing, One("Statement")).queries(PERIOD),
    doc("GET", "/owners", "Owners' standings", Nothing, Page("OwnerView")),
    doc("GET", "/users", "Users", Nothing, Page("UserView")),
    doc("POST", "/users", "Make a user or change a role", One("NewUser"), One("UserView")),
    doc("GET", "/tokens", "The caller's tokens; an administrator's list has all", Nothing, Page("TokenView")),
    doc("POST", "/tokens", "Make a bearer token", One("NewToken"), One("TokenMade")).status("201"),
    doc("DELETE", "/tokens/{id}", "Revoke a token", Nothing, Nothing).status("204"),
    doc("GET", "/agents", "Sites' agents: open invitations and certificates", Nothing, Page("AgentView")),
    doc("POST", "/agents/invitations", "Let one agent enrol for a site", One("NewInvitation"), One("InvitationMade"))
        .status("201"),
    doc("DELETE", "/agents/{id}", "Revoke an agent's certificate or an invitation", Nothing, Nothing).status("204"),
    doc("POST", "/signin-links", "Make a one-time sign-in link", Nothing, One("SignInLink")).status("201"),
    doc("GET", "/audit", "Check every invariant and the journal's chain", Nothing, One("Audit")),
];

/// The document, keys in order, two spaces deep, with a line end.
pub fn openapi() -> String {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(doc) = doc_of(operation) {
            item[operation.method.to_ascii_lowercase()] = describe(operation, doc);
        }
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Madang",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Moments are `*_ms`, milliseconds since 1970 UTC; lengths `*_secs`; GPU time `*_gpu_us`, \
                micro-GPU-seconds; money `*_won`, whole won; shares `*_bp`, basis points. Every failure is a Problem \
                (RFC 9457) with a stable code.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": { "Problem": {
                "description": "It was not done, and why",
                "content": { "application/problem+json": { "schema": reference("Problem") } },
            } },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": super::guard::COOKIE },
            },
        },
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn doc_of(operation: &Operation) -> Option<&'static Doc> {
    let path = operation.path.strip_prefix(V1).unwrap_or(operation.path);
    DOCS.iter().find(|doc| doc.of == (operation.method, path))
}

fn describe(operation: &Operation, doc: &Doc) -> Value {
    let mut good = json!({ "description": doc.summary });
    if let Some(content) = content(doc.gives) {
        good["content"] = content;
    }
    let mut described = json!({
        "operationId": name_of(operation),
        "summary": doc.summary,
        "description": access(operation.access),
        "parameters": parameters(operation, doc),
        "responses": { doc.status: good, "default": { "$ref": "#/components/responses/Problem" } },
        "security": if operation.access == Access::Public { json!([]) } else { json!([{ "bearer": [] }, { "session": [] }]) },
    });
    if let Some(content) = content(doc.takes) {
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    described
}

/// `GET /api/v1/jobs/{id}/why` is `get_jobs_id_why`.
fn name_of(operation: &Operation) -> String {
    let path = operation.path.strip_prefix(V1).unwrap_or(operation.path);
    let words = path.split(['/', '.', '-']).filter(|word| !word.is_empty()).map(|word| word.trim_matches(['{', '}']));
    [operation.method.to_ascii_lowercase()].into_iter().chain(words.map(str::to_owned)).collect::<Vec<_>>().join("_")
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Public => "For anyone.",
        Access::SignedIn => "For any signed-in caller; what they may not see is left out.",
        Access::Member => "For members of the object's project, operators and administrators.",
        Access::Reader => "For members of the object's project, owners, officers, operators and administrators.",
        Access::Officer => "For officers and administrators.",
        Access::Operator => "For operators and administrators.",
        Access::Admin => "For administrators.",
    }
}

fn parameters(operation: &Operation, doc: &Doc) -> Vec<Value> {
    let names = operation.path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let in_path = |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    let mut all: Vec<Value> = names.map(in_path).collect();
    all.extend(doc.queries.iter().map(
        |(name, kind, text)| json!({ "name": name, "in": "query", "description": text, "schema": { "type": kind } }),
    ));
    if doc.of == ("POST", "/jobs") {
        all.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "the same key with the same body gives the first answer again and submits nothing",
            "schema": { "type": "string", "maxLength": 255 },
        }));
    }
    all
}

fn content(shape: Shape) -> Option<Value> {
    let of = |kind: &str, schema: Value| Some(json!({ kind: { "schema": schema } }));
    match shape {
        Nothing => None,
        Text => of("text/plain", json!({ "type": "string" })),
        Events(name) => of("text/event-stream", reference(name)),
        Json => of("application/json", json!({ "type": "object" })),
        One(name) => of("application/json", reference(name)),
        Page(name) => of(
            "application/json",
            json!({
                "type": "object",
                "required": ["items"],
                "properties": {
                    "items": { "type": "array", "items": reference(name) },
                    "next": { "type": "string", "description": "goes back as `?after=`; absent on the last page" },
                },
            }),
        ),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

macro_rules! schemas_of {
    ($($name:ident),* $(,)?) => {{
        let mut all = Vec::new();
        $(
            all.push((<api::$name as ToSchema>::name().into_owned(), <api::$name as utoipa::PartialSchema>::schema()));
            <api::$name as ToSchema>::schemas(&mut all);
        )*
        all
    }};
}

/// The wire's types by name.
fn schemas() -> Map<String, Value> {
    let all = schemas_of![
        Alter,
        Audit,
        Changed,
        DefragPlan,
        DefragSpec,
        DrainSpec,
        LostSpec,
        LostView,
        DataSpec,
        ProjectData,
        SiteStandingView,
        SignSpec,
        Event,
        Floor,
        JobView,
        LogPiece,
        Me,
        NewAward,
        NewMember,
        NewProject,
        NewToken,
        NewUser,
        NodeView,
        Overview,
        OwnerView,
        PartitionView,
        Outlook,
        Problem,
        ProjectView,
        ReservationSpec,
        ReservationView,
        SignIn,
        SignInLink,
        SignalSpec,
        FinishSpec,
        SiteView,
        Statement,
        Submit,
        Submitted,
        AgentView,
        InvitationMade,
        NewInvitation,
        TokenMade,
        TokenView,
        UserView,
        When,
        Why,
    ];
    all.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_and_nothing_else() {
        for operation in OPERATIONS {
            assert!(doc_of(operation).is_some(), "{} {}", operation.method, operation.path);
        }
        assert_eq!(DOCS.len(), OPERATIONS.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = openapi();
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().expect("a name");
            assert!(schemas.contains_key(name), "{name}");
        }
        let paths: std::collections::BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
        assert_eq!(document["paths"].as_object().expect("paths").len(), paths.len());
    }

    #[test]
    fn the_checked_in_file_is_this() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, openapi()).expect("writable");
        }
        let file = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(file == openapi(), "openapi.json differs: run this test with UPDATE_EXPECT=1 and read the difference");
    }
}
