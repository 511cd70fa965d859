//! A connection that is made when it is needed and made anew when it breaks.

use crate::trouble::Trouble;
use ::postgres::config::{Host, SslMode};
use ::postgres::error::SqlState;
use ::postgres::types::ToSql;
use ::postgres::{Client, Config, Error, NoTls, Row, Statement, Transaction};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Most statements that a connection keeps prepared.
const PREPARED: usize = 64;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How long what was sent may stay unacknowledged before the connection counts as broken.
const SILENCE: Duration = Duration::from_secs(4);
/// What every connection is set to. A configured `synchronous_commit = off` would make answers of what may be lost; the
/// fence of the lease leans on statements that see what was committed while they waited for a lock.
const SETTINGS: &str = "SET search_path TO madang; SET client_min_messages TO warning; \
    SET default_transaction_isolation TO 'read committed'; SET statement_timeout TO 0; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Values of a statement.
pub type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Where a database is.
#[derive(Clone)]
pub struct Address {
    config: Arc<Config>,
    name: Arc<str>,
}

impl Address {
    /// Reads `postgres://USER@HOST:PORT/DATABASE`. A password that is not in it is taken from `PGPASSWORD`.
    pub fn parse(url: &str) -> Result<Address, Trouble> {
        let unreadable = |error: Error| {
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            Trouble::new(format!("the address of the store does not read as one of PostgreSQL: {why}")).hint(
                "write it as postgres://USER@HOST:PORT/DATABASE, or postgres://USER@/DATABASE?host=/run/postgresql",
            )
        };
        let mut config: Config = url.parse().map_err(unreadable)?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(Trouble::new("this release does not speak TLS to PostgreSQL").hint(
                "leave sslmode out and reach the database over a socket, loopback or a private network or tunnel",
            ));
        }
        if let (None, Ok(password)) = (config.get_password(), std::env::var("PGPASSWORD")) {
            config.password(password);
        }
        if config.get_user().is_none() {
            let login = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
            config.user(login.as_ref().map_or("postgres", |user| user.name.as_str()));
        }
        config.connect_timeout(CONNECT).application_name("madang");
        config
            .keepalives_idle(SILENCE / 2)
            .keepalives_interval(SILENCE / 4)
            .keepalives_retries(2)
            .tcp_user_timeout(SILENCE);
        let name = named(&config).into();
        let address = Address { config: Arc::new(config), name };
        if address.crosses_a_network() {
            tracing::warn!(
                "what goes to {} is not encrypted on its way: use a private network or a tunnel",
                address.name
            );
        }
        Ok(address)
    }

    /// The address without its password.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn crosses_a_network(&self) -> bool {
        let is_far = |host: &Host| match host {
            Host::Tcp(name) => {
                name != "localhost" && !name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Host::Unix(_) => false,
        };
        self.config.get_hosts().iter().any(is_far)
    }

    fn connect(&self) -> Result<Session, Failure> {
        let connect = || -> Result<Client, Error> {
            let mut client = self.config.connect(NoTls)?;
            client.batch_execute(SETTINGS)?;
            Ok(client)
        };
        let client = connect().map_err(|error| self.failure("reach", &error))?;
        Ok(Session { client: Some(client), statements: HashMap::new() })
    }

    /// An error in words, with what a person can do about it.
    fn failure(&self, verb: &str, error: &Error) -> Failure {
        let code = error.code();
        let said = error.as_db_error().map(|error| error.message().to_owned());
        let said = said.or_else(|| std::error::Error::source(error).map(ToString::to_string));
        let said = said.unwrap_or_else(|| error.to_string());
        let database = self.config.get_dbname().unwrap_or("madang");
        let hint = match code {
            None if verb == "reach" => "start it, or mend the address given with --store".to_owned(),
            Some(&SqlState::INVALID_CATALOG_NAME) => format!("make it with: createdb {database}"),
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                "mend the user in --store, or give its password in PGPASSWORD; pg_hba.conf says who may come".into()
            }
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                format!("let the user own the database: ALTER DATABASE {database} OWNER TO …")
            }
            Some(&SqlState::DISK_FULL) => "its disk is full: make room; nothing that was answered is lost".into(),
            Some(&SqlState::TOO_MANY_CONNECTIONS) => "raise max_connections: a server needs up to a dozen".into(),
            _ => String::new(),
        };
        let trouble = Trouble::new(format!("failed to {verb} {}: {said}", self.name)).hint(hint);
        let passing = [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::TOO_MANY_CONNECTIONS,
        ];
        match code {
            Some(code) if !passing.contains(&code) => Failure::Refused(trouble),
            _ => Failure::Lost(trouble),
        }
    }
}

/// The address as a person would write it, without the password.
fn named(config: &Config) -> String {
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let port = config.get_ports().first().filter(|port| **port != 5432).map(|port| format!(":{port}"));
    let port = port.unwrap_or_default();
    match config.get_hosts().first() {
        Some(Host::Unix(path)) => format!("postgres://{user}@{port}/{database}?host={}", path.display()),
        Some(Host::Tcp(name)) => format!("postgres://{user}@{name}{port}/{database}"),
        None => format!("postgres://{user}@localhost{port}/{database}"),
    }
}

/// Why a statement was not done, as far as is known.
pub enum Failure {
    /// The connection broke, or the database is not there: whether it was done is not known.
    Lost(Trouble),
    /// The database said no.
    Refused(Trouble),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        let (Failure::Lost(trouble) | Failure::Refused(trouble)) = failure;
        trouble
    }
}

/// A connection, made when needed.
pub struct Link {
    address: Address,
    session: Mutex<Option<Session>>,
}

impl Link {
    /// A connection to be.
    pub fn new(address: &Address) -> Link {
        Link { address: address.clone(), session: Mutex::new(None) }
    }

    /// What the database is called in messages.
    pub fn name(&self) -> &str {
        self.address.name()
    }

    /// Does something once; it may have been done although the connection broke.
    pub fn once<T>(&self, verb: &str, work: impl Fn(&mut Session) -> Result<T, Error>) -> Result<T, Failure> {
        apart(|| {
            let mut held = self.session.lock();
            let mut session = match held.take().filter(|session| !session.is_closed()) {
                Some(session) => session,
                None => self.address.connect()?,
            };
            let done = work(&mut session).map_err(|error| self.address.failure(verb, &error));
            if !matches!(done, Err(Failure::Lost(_))) {
                *held = Some(session);
            }
            done
        })
    }

    /// Does what may be done twice; a connection that broke meanwhile is made anew.
    pub fn read<T>(&self, verb: &str, work: impl Fn(&mut Session) -> Result<T, Error>) -> Result<T, Trouble> {
        match self.once(verb, &work) {
            Err(Failure::Lost(_)) => Ok(self.once(verb, &work)?),
            done => Ok(done?),
        }
    }
}

/// A live connection and the statements that it has prepared.
pub struct Session {
    client: Option<Client>,
    statements: HashMap<String, Statement>,
}

impl Session {
    fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("it is taken when the session is dropped, not before")
    }

    fn is_closed(&self) -> bool {
        self.client.as_ref().is_none_or(Client::is_closed)
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        if self.statements.len() >= PREPARED {
            self.statements.clear();
        }
        let statement = self.client().prepare(sql)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Rows.
    pub fn query(&mut self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(sql)?;
        self.client().query(&statement, values)
    }

    /// The one row that there is.
    pub fn one(&mut self, sql: &str, values: Values<'_>) -> Result<Row, Error> {
        let statement = self.prepared(sql)?;
        self.client().query_one(&statement, values)
    }

    /// A row, if there is one.
    pub fn maybe(&mut self, sql: &str, values: Values<'_>) -> Result<Option<Row>, Error> {
        let statement = self.prepared(sql)?;
        self.client().query_opt(&statement, values)
    }

    /// The number of rows that were changed.
    pub fn execute(&mut self, sql: &str, values: Values<'_>) -> Result<u64, Error> {
        let statement = self.prepared(sql)?;
        self.client().execute(&statement, values)
    }

    /// Several statements in one.
    pub fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.client().transaction()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Closing a connection waits for the database.
        apart(|| drop(self.client.take()));
    }
}

/// Does something that waits, which a thread of the event loop may not without saying so.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
