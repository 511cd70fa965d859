//! The table of operations: path, method, and who may. The server serves exactly these, the access test calls every
//! one of them as everybody, and the guide in `docs/guides/add-an-endpoint.md` begins here.

/// Who may call an operation. Every rule but `Public` needs a signed-in caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, signed in or not.
    Public,
    /// Any signed-in caller; what they may not see is left out.
    SignedIn,
    /// Members of the object's project, and operators and administrators.
    Member,
    /// Members, and those who may see everything: owners, officers, operators, administrators.
    Reader,
    /// Officers and administrators.
    Officer,
    /// Operators and administrators.
    Operator,
    /// Administrators.
    Admin,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// HTTP method.
    pub method: &'static str,
    /// Path under the server's root, parameters in braces.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
}

const fn op(method: &'static str, path: &'static str, access: Access) -> Operation {
    Operation { method, path, access }
}

/// Every operation there is.
pub const OPERATIONS: &[Operation] = &[
    op("GET", "/healthz", Access::Public),
    op("GET", "/readyz", Access::Public),
    op("GET", "/metrics", Access::Operator),
    op("GET", "/api/v1/openapi.json", Access::Public),
    op("POST", "/api/v1/session", Access::Public),
    op("DELETE", "/api/v1/session", Access::SignedIn),
    op("GET", "/api/v1/me", Access::SignedIn),
    op("GET", "/api/v1/overview", Access::SignedIn),
    op("GET", "/api/v1/sites", Access::SignedIn),
    op("POST", "/api/v1/sites/{name}/lost", Access::Operator),
    op("POST", "/api/v1/sites/{name}/back", Access::Operator),
    op("GET", "/api/v1/partitions", Access::SignedIn),
    op("GET", "/api/v1/floor", Access::SignedIn),
    // Node list; of foreign jobs on a node only the number of devices shows. ?site= ?partition= ?names=a,b
    op("GET", "/api/v1/nodes", Access::SignedIn),
    op("POST", "/api/v1/nodes/{name}/drain", Access::Operator),
    op("POST", "/api/v1/nodes/{name}/signs", Access::Operator),
    op("POST", "/api/v1/nodes/{name}/resume", Access::Operator),
    op("POST", "/api/v1/nodes/{name}/clear", Access::Operator),
    op("GET", "/api/v1/reservations", Access::SignedIn),
    op("POST", "/api/v1/reservations", Access::Operator),
    op("DELETE", "/api/v1/reservations/{name}", Access::Operator),
    // ?site= ?horizon_secs= (default a day) ?most= (moves, default 32)
    op("GET", "/api/v1/defrag", Access::Operator),
    op("POST", "/api/v1/defrag", Access::Operator),
    op("GET", "/api/v1/events", Access::SignedIn),
    // ?user= ?project= ?partition= ?state=PENDING,RUNNING|all|active (default active) ?name= ?ids=1,2_3 ?since_ms=
    // ?until_ms= ?site= ?after= ?limit= (default 200, at most 1000) ?full=true ?expand=true (array tasks one by one)
    op("GET", "/api/v1/jobs", Access::SignedIn),
    op("POST", "/api/v1/jobs", Access::SignedIn),
    // {id}: 42, job-42 or 42_3 (task 3 of array 42)
    op("GET", "/api/v1/jobs/{id}", Access::Reader),
    op("PATCH", "/api/v1/jobs/{id}", Access::Member),
    op("DELETE", "/api/v1/jobs/{id}", Access::Member),
    op("POST", "/api/v1/jobs/{id}/hold", Access::Member),
    op("POST", "/api/v1/jobs/{id}/release", Access::Member),
    op("POST", "/api/v1/jobs/{id}/requeue", Access::Member),
    op("POST", "/api/v1/jobs/{id}/signal", Access::Member),
    // Of the members only the one whose job it is.
    op("POST", "/api/v1/jobs/{id}/checkpoint", Access::Member),
    op("POST", "/api/v1/jobs/{id}/finish", Access::Member),
    op("GET", "/api/v1/jobs/{id}/why", Access::Reader),
    op("GET", "/api/v1/jobs/{id}/when", Access::Reader),
    // ?stream=stdout|stderr ?offset= ?limit= (bytes, at most 1 MiB); the job's own script is at /script
    op("GET", "/api/v1/jobs/{id}/log", Access::Member),
    op("GET", "/api/v1/jobs/{id}/script", Access::Member),
    op("GET", "/api/v1/projects", Access::SignedIn),
    op("POST", "/api/v1/projects", Access::Officer),
    op("GET", "/api/v1/projects/{name}", Access::Reader),
    op("POST", "/api/v1/projects/{name}/awards", Access::Officer),
    op("POST", "/api/v1/projects/{name}/members", Access::Officer),
    op("POST", "/api/v1/projects/{name}/data", Access::Officer),
    // ?from_ms= ?until_ms=
    op("GET", "/api/v1/projects/{name}/statement", Access::Reader),
    op("GET", "/api/v1/owners", Access::SignedIn),
    op("GET", "/api/v1/users", Access::Admin),
    op("POST", "/api/v1/users", Access::Admin),
    op("GET", "/api/v1/tokens", Access::SignedIn),
    op("POST", "/api/v1/tokens", Access::SignedIn),
    op("DELETE", "/api/v1/tokens/{id}", Access::SignedIn),
    op("POST", "/api/v1/signin-links", Access::SignedIn),
    op("GET", "/api/v1/agents", Access::Operator),
    op("POST", "/api/v1/agents/invitations", Access::Operator),
    op("DELETE", "/api/v1/agents/{id}", Access::Operator),
    op("GET", "/api/v1/audit", Access::Operator),
];
