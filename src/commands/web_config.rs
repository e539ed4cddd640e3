//! `--web.config.file` with everything that it names: what `serve` serves with, and `check` looks at.

use std::path::Path;

use axum::http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use crate::config::environment::{Environment, PLACE, WEBHOOK_BASIC_AUTH};
use crate::config::web::{self, WebConfig};
use crate::config::{Place, Report};
use crate::web::auth::Users;
use crate::web::tls::{Tls, TlsError};

/// How the server meets those who ask it.
#[derive(Clone)]
pub struct Web {
    /// Who is let in; nobody if the environment and the file name no one.
    pub users: Users,
    /// How TLS is spoken; `None`: it is not.
    pub tls: Option<Tls>,
    /// What answers carry that do not say otherwise themselves.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Reads who may post from the environment, and the rest from `file` and what it names. Everything that is wrong is in
/// the report; what is returned can be used if nothing there is fatal.
pub fn load(file: Option<&Path>, environment: &Environment, report: &mut Report) -> Web {
    let users = posters(environment, report);
    let Some(config) = file.and_then(|file| web::read(file, report)) else {
        return Web { users, tls: None, headers: Vec::new() };
    };
    let users = with_operators(users, &config, report);
    let tls = tls(&config, report);
    Web { users, tls, headers: config.headers }
}

fn posters(environment: &Environment, report: &mut Report) -> Users {
    let Some(text) = &environment.webhook_basic_auth else { return Users::nobody() };
    let place = Place::file(PLACE).key(WEBHOOK_BASIC_AUTH);
    match Users::parse(text.expose_secret()) {
        Ok(parsed) => {
            parsed.warnings.into_iter().for_each(|warning| report.remark(place.clone(), warning));
            parsed.users
        }
        Err(problems) => {
            problems.into_iter().for_each(|problem| report.fatal(place.clone(), problem));
            Users::nobody()
        }
    }
}

fn with_operators(mut users: Users, config: &WebConfig, report: &mut Report) -> Users {
    for user in &config.users {
        if let Err(problem) = users.add_operator(&user.name, user.hash.expose_secret()) {
            report.fatal(user.place.clone(), problem);
        }
    }
    users
}

fn tls(config: &WebConfig, report: &mut Report) -> Option<Tls> {
    let place = config.place.key("tls_server_config");
    match Tls::open(config.tls.clone()?) {
        Ok(tls) => Some(tls),
        Err(errors) => {
            for TlsError { key, file, fault } in errors {
                report.fatal(place.key(key), format!("names the file {file:?}, which {fault}"));
            }
            None
        }
    }
}
