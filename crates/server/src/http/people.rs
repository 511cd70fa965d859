//! Operations on sessions, users and tokens.

use super::answer::{SMALL, body, json, json_with, nothing};
use super::guard::{COOKIE, Caller};
use super::{App, blocking};
use crate::auth::{NoPass, Pass, SESSION};
use crate::convert;
use crate::fault::Fault;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use madang_api::{Me, NewToken, NewUser, Page, RoleName, SignIn, SignInLink, TokenMade, TokenView, UserView};
use madang_centre::{Centre, Input};
use madang_model::{ProjectId, Role, Span};
use std::sync::Arc;

/// How long a token is good that names no time.
const TOKEN_DAYS: u32 = 90;
/// The longest.
const MOST_DAYS: u32 = 3_650;

impl From<NoPass> for Fault {
    fn from(no: NoPass) -> Fault {
        match no {
            NoPass::TooMany(fact) => Fault::new(429, "too_many", fact).hint("revoke some first"),
            NoPass::Trouble(trouble) => trouble.into(),
        }
    }
}

/// Swaps a code for a session's cookie.
pub(super) async fn sign_in(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let SignIn { code } = body(request, SMALL).await?;
    let server = Arc::clone(&app);
    let signed = blocking(move || Ok(server.passes.sign_in(server.now(), &code))).await??;
    let (pass, secret) = signed.ok_or_else(|| {
        Fault::unauthenticated("this sign-in code is not, or no longer, good")
            .hint("codes are good once and for ten minutes: make a new link with `madang signin`")
    })?;
    let mut response = json(&me_of(&app, &pass.user)?);
    let age = SESSION.secs();
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}", secret.reveal());
    set_cookie(&mut response, &cookie)?;
    Ok(response)
}

/// Ends the caller's session; of a token's caller it changes nothing.
pub(super) async fn sign_out(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Fault> {
    if caller.by_cookie {
        blocking(move || app.passes.revoke(caller.pass)).await?;
    }
    let mut response = nothing();
    set_cookie(&mut response, &format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"))?;
    Ok(response)
}

fn set_cookie(response: &mut Response, cookie: &str) -> Result<(), Fault> {
    let value = HeaderValue::from_str(cookie).map_err(|_| Fault::internal())?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(())
}

pub(super) async fn me(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    me_of(&app, &caller.name).map(|me| json(&me))
}

fn me_of(app: &App, name: &str) -> Result<Me, Fault> {
    let centre = app.centre();
    let user = centre.user(name).ok_or_else(|| Fault::unauthenticated("this user is not known any more"))?;
    Ok(Me { name: user.name.clone(), role: role_name(user.role), projects: project_names(&centre, &user.projects) })
}

fn project_names(centre: &Centre, ids: &[ProjectId]) -> Vec<String> {
    ids.iter().map(|id| centre.projects()[id.index()].name.clone()).collect()
}

fn role_name(role: Role) -> RoleName {
    match role {
        Role::Researcher => RoleName::Researcher,
        Role::Owner => RoleName::Owner,
        Role::Officer => RoleName::Officer,
        Role::Operator => RoleName::Operator,
        Role::Admin => RoleName::Admin,
    }
}

fn role_of(name: RoleName) -> Role {
    match name {
        RoleName::Researcher => Role::Researcher,
        RoleName::Owner => Role::Owner,
        RoleName::Officer => Role::Officer,
        RoleName::Operator => Role::Operator,
        RoleName::Admin => Role::Admin,
    }
}

pub(super) async fn users(State(app): State<Arc<App>>) -> Response {
    let centre = app.centre();
    let view = |user: &madang_model::User| UserView {
        name: user.name.clone(),
        role: role_name(user.role),
        projects: project_names(&centre, &user.projects),
    };
    json(&Page { items: centre.users().iter().map(view).collect(), next: None })
}

pub(super) async fn set_user(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Fault> {
    let NewUser { name, role } = body(request, SMALL).await?;
    if name == caller.name && role != RoleName::Admin {
        return Err(Fault::forbidden("you cannot take the administrator's role from yourself")
            .hint("let another administrator do it, so that one is left"));
    }
    app.ask(&caller.name, None, Input::User { name: name.clone(), role: role_of(role) }, None).await?;
    let centre = app.centre();
    let user = centre.user(&name).ok_or_else(Fault::internal)?;
    let projects = project_names(&centre, &user.projects);
    Ok(json(&UserView { name, role: role_name(user.role), projects }))
}

/// The caller's own tokens; an administrator's list has everybody's.
pub(super) async fn tokens(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    let own = |pass: &Pass| pass.user == caller.name || caller.role == Role::Admin;
    let items = app.passes.tokens(app.now()).into_iter().filter(own).map(|pass| TokenView {
        id: pass.id,
        user: pass.user,
        note: pass.note,
        made_ms: pass.made.millis(),
        until_ms: pass.until.millis(),
    });
    json(&Page { items: items.collect(), next: None })
}

pub(super) async fn make_token(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Fault> {
    let NewToken { user, note, days } = body(request, SMALL).await?;
    convert::text("note", &note, 1_024)?;
    if user != caller.name && caller.role != Role::Admin {
        return Err(Fault::forbidden("only an administrator makes tokens for another than themselves"));
    }
    let days = days.unwrap_or(TOKEN_DAYS);
    if days == 0 || days > MOST_DAYS {
        return Err(Fault::invalid("days", format!("is {days}, from 1 to {MOST_DAYS}")));
    }
    if app.centre().user(&user).is_none() {
        return Err(Fault::not_found(format!("user {user}")));
    }
    let now = app.now();
    let until = now + Span::from_days(days.into());
    let (pass, secret) = blocking(move || Ok(app.passes.make_token(now, &user, &note, until))).await??;
    let made = TokenMade { id: pass.id, token: secret.reveal().to_owned(), until_ms: pass.until.millis() };
    Ok(json_with(StatusCode::CREATED, &made))
}

pub(super) async fn revoke_token(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let own = |pass: &Pass| pass.user == caller.name || caller.role == Role::Admin;
    let found = app.passes.tokens(app.now()).into_iter().filter(own).find(|pass| pass.id.to_string() == id);
    let pass = found.ok_or_else(|| Fault::not_found(format!("token {id}")))?;
    blocking(move || app.passes.revoke(pass.id)).await?;
    Ok(nothing())
}

pub(super) async fn signin_link(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Fault> {
    let server = Arc::clone(&app);
    let code = blocking(move || Ok(server.passes.make_code(server.now(), &caller.name))).await??;
    let url = format!("{}/signin?code={}", app.address, code.reveal());
    Ok(json_with(StatusCode::CREATED, &SignInLink { url }))
}
